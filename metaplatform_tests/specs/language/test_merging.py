"""Merge keys: what `<<` brings along, what it cannot, and where faults in it are told."""

from pathlib import Path

from metaplatform_tests.specs.language.books import SHOP, VERSION, read, sound, told

CUSTOMERS = """\
x-files: &files
  kind: csv
  key: [id]
  description: from files
x-more: &more {description: more, contract: evolve}
sources:
  one: {<<: *files, path: one.csv, description: own}
  two:
    <<: [*files, *more]
    path: two.csv
  three: {<<: [*more, *files], path: three.csv}
"""


def test_own_keys_win_and_of_several_mappings_the_first(tmp_path: Path) -> None:
    sources = sound(tmp_path, VERSION + CUSTOMERS).sources
    assert [source.description for source in sources.values()] == ["own", "from files", "more"]
    assert [source.contract for source in sources.values()] == ["freeze", "evolve", "evolve"]
    assert {source.key for source in sources.values()} == {("id",)}


def test_merge_keys_nest_and_stand_at_any_depth(tmp_path: Path) -> None:
    text = SHOP.replace("training: {window: 6 months, holdout: 2 weeks}", "training: {<<: *training, window: 3 months}")
    anchors = "x-a: &base {holdout: 2 weeks, seed: 7}\nx-b: &training {<<: *base, window: 1 month}\n"
    training = sound(tmp_path, VERSION + anchors + text).models["returns"].training
    assert (str(training.window), str(training.holdout), training.seed) == ("1 quarter", "2 weeks", 7)


def test_a_fault_within_a_merge_is_told_once_where_it_is_written(tmp_path: Path) -> None:
    text = "x-f: &f\n  kind: csv\n  pth: x\nsources:\n  a: {<<: *f, path: a}\n  b: {<<: *f, path: b}\n"
    _, issues = read(tmp_path, VERSION + text)
    assert told(issues) == [("metadata/a.yaml:4:3", "unknown-key", "pth", "path")]


def test_what_is_no_mapping_cannot_be_merged(tmp_path: Path) -> None:
    text = "x-l: &l [1]\nsources:\n  a: {<<: *l, kind: csv, path: a}\n  b:\n    <<: 3\n    kind: csv\n    path: b\n"
    _, issues = read(tmp_path, VERSION + text)
    assert told(issues) == [
        ("metadata/a.yaml:4:7", "wrong-type", "<<", None),
        ("metadata/a.yaml:6:5", "wrong-type", "<<", None),
    ]


def test_a_quoted_merge_key_is_a_name_like_any_other(tmp_path: Path) -> None:
    text = 'sources:\n  a: {kind: csv, path: a, columns: {"<<": bigint}}\n'
    assert list(sound(tmp_path, VERSION + text).sources["a"].columns) == ["<<"]


def test_merges_that_swell_are_refused_before_they_do(tmp_path: Path) -> None:
    levels = "".join(f"x-{n}: &a{n} {{<<: *a{n - 1}, k{n}: *a{n - 1}}}\n" for n in range(1, 31))
    _, issues = read(tmp_path, VERSION + "x-0: &a0 {k: v}\n" + levels)
    assert [issue.rule for issue in issues] == ["yaml-syntax"]


def test_a_key_given_twice_beside_a_merge_is_told(tmp_path: Path) -> None:
    text = "x-f: &f {kind: csv}\nsources:\n  a:\n    <<: *f\n    <<: *f\n    path: a\n    path: b\n"
    _, issues = read(tmp_path, VERSION + text)
    assert told(issues) == [
        ("metadata/a.yaml:6:5", "duplicate-key", "<<", None),
        ("metadata/a.yaml:8:5", "duplicate-key", "path", None),
    ]


def test_keys_that_start_with_x_are_left_alone(tmp_path: Path) -> None:
    manifest, issues = read(tmp_path, VERSION + "x-notes: [anything, {at: all}]\nx-: ${unknown}\n" + SHOP)
    assert manifest is not None
    assert told(issues) == []


def test_a_fault_in_sql_behind_an_anchor_is_told_where_it_stands(tmp_path: Path) -> None:
    line = '  t: {sql: &query "select order_id, amonut from raw.orders"}'
    _, issues = read(tmp_path, f"{VERSION}{SHOP}tables:\n{line}\n")
    (place, rule, culprit, _) = told(issues)[0]
    row = (VERSION + SHOP).count("\n") + 2
    assert (place, rule, culprit) == (f"metadata/a.yaml:{row}:{line.index('amonut') + 1}", "unknown-column", "amonut")
