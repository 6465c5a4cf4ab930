"""Parameters: typed where they stand alone, text in texts, literals in SQL; set by the environment."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlglot import exp

from metaplatform.specs.fields.parameters import ParameterType, Value, sql_of, value_of, value_of_text
from metaplatform.specs.language.splicing import SqlPlaceError, sql_spliced
from metaplatform.sql.expressions import parse_expression
from metaplatform_tests.specs.language.books import SHOP, VERSION, read, sound, told

PARAMETERS = """\
parameters:
  region: {type: text, default: north, description: Where the shop is.}
  rounds: {type: integer, default: 50, env: SHOP_ROUNDS}
  share: {type: number, default: 0.25}
  window: {type: duration, default: 3 months}
  live: {type: boolean, default: false}
"""
USES = (
    SHOP.replace("data/orders.csv", "data/${region}/orders.csv")
    .replace("6 months", '"${window}"')
    .replace("2 weeks}", '2 weeks, rounds: "${rounds}", validation_share: "${share}"}')
    .replace("{sql: returned}", '{sql: "returned and amount > ${share}", exclude: "${live}"}')
)


def test_a_parameter_takes_its_type_its_text_or_its_literal_by_where_it_stands(tmp_path: Path) -> None:
    manifest = sound(tmp_path, VERSION + PARAMETERS, USES)
    returns = manifest.models["returns"]
    assert manifest.sources["orders"].path == "data/north/orders.csv"
    assert (str(returns.training.window), returns.training.rounds) == ("1 quarter", 50)
    assert returns.training.validation_share == 0.25
    assert (returns.target.sql, returns.target.exclude) == ("returned and amount > 0.25", "FALSE")


def test_where_only_text_can_stand_a_number_is_its_text(tmp_path: Path) -> None:
    tags = 'tags: {rounds: "${rounds}", live: "${live}"}\n    description: ${share}\n    columns: {'
    manifest = sound(tmp_path, VERSION + PARAMETERS, SHOP.replace("columns: {", tags, 1))
    assert manifest.sources["orders"].tags == {"rounds": "50", "live": "false"}
    assert manifest.sources["orders"].description == "0.25"


def test_a_value_that_does_not_fit_its_place_is_told_there(tmp_path: Path) -> None:
    text = SHOP.replace("2 weeks}", '2 weeks, rounds: "${share}"}').replace("amount: double", 'amount: "${region}"')
    _, issues = read(tmp_path, VERSION + PARAMETERS, text)
    assert told(issues) == [
        ("metadata/b.yaml:5:65", "unknown-type", "north", None),
        ("metadata/b.yaml:21:60", "wrong-type", "0.25", None),
    ]


def test_the_environment_sets_parameters_by_their_variables(tmp_path: Path) -> None:
    variables = {
        "SHOP_ROUNDS": "70",
        "METAPLATFORM_PARAMETER_REGION": "south",
        "METAPLATFORM_PARAMETER_SHARE": "0.5",
        "METAPLATFORM_PARAMETER_LIVE": "True",
        "METAPLATFORM_PARAMETER_WINDOW": "",
    }
    manifest = sound(tmp_path, VERSION + PARAMETERS, USES, variables=variables)
    returns = manifest.models["returns"]
    assert manifest.sources["orders"].path == "data/south/orders.csv"
    assert (returns.training.rounds, str(returns.training.window)) == (70, "1 quarter")
    assert (returns.target.sql, returns.target.exclude) == ("returned and amount > 0.5", "TRUE")


def test_a_value_that_does_not_fit_is_told_and_not_shown(tmp_path: Path) -> None:
    variables = {"SHOP_ROUNDS": "hunter2", "METAPLATFORM_PARAMETER_SHARE": "inf"}
    _, issues = read(tmp_path, VERSION + PARAMETERS, USES, variables=variables)
    assert told(issues) == [
        ("metadata/a.yaml:4:3", "wrong-type", "SHOP_ROUNDS", None),
        ("metadata/a.yaml:5:3", "wrong-type", "METAPLATFORM_PARAMETER_SHARE", None),
    ]
    assert "hunter2" not in "".join(str(issue) for issue in issues)


def test_faults_of_declarations_stand_at_their_keys_and_are_not_echoed_by_uses(tmp_path: Path) -> None:
    declarations = """\
parameters:
  region: {type: text}
  rounds: {type: integer, default: fifty}
  share: {type: numbr}
  window: {type: duration, defualt: 3 days}
  live: true
  Region: {type: text, default: x}
"""
    _, issues = read(tmp_path, VERSION + declarations, USES)
    assert told(issues) == [
        ("metadata/a.yaml:3:3", "unset-parameter", "region", None),
        ("metadata/a.yaml:4:36", "wrong-type", "fifty", None),
        ("metadata/a.yaml:5:17", "unknown-value", "numbr", "number"),
        ("metadata/a.yaml:6:28", "unknown-key", "defualt", "default"),
        ("metadata/a.yaml:7:3", "wrong-type", "live", None),
        ("metadata/a.yaml:8:3", "duplicate-name", "Region", None),
    ]
    assert "METAPLATFORM_PARAMETER_REGION" in issues[0].message


def test_unknown_and_malformed_parameters_are_told_where_they_stand_beside_other_faults(tmp_path: Path) -> None:
    text = SHOP.replace("data/orders.csv", "data/${regoin}/orders.csv").replace("key: [order_id]", "kye: ${}")
    _, issues = read(tmp_path, VERSION + PARAMETERS, text)
    assert told(issues) == [
        ("metadata/b.yaml:4:11", "unknown-parameter", "regoin", "region"),
        ("metadata/b.yaml:6:5", "unknown-key", "kye", "key"),
        ("metadata/b.yaml:6:10", "parameter-syntax", "${}", None),
    ]


def test_a_parameter_that_nothing_uses_is_a_warning(tmp_path: Path) -> None:
    _, issues = read(
        tmp_path, VERSION + PARAMETERS.replace("live:", "lively:"), USES.replace(', exclude: "${live}"', "")
    )
    assert [
        (issue.severity, issue.rule, issue.owner, issue.location.line if issue.location else 0) for issue in issues
    ] == [("warning", "unused", "parameters.lively", 7)]


def test_a_doubled_sign_writes_the_sign_itself(tmp_path: Path) -> None:
    text = SHOP.replace("data/orders.csv", "data/$${region}/$$${region}.csv").replace(
        "{sql: returned}", "{sql: \"returned and channel <> '$${x}'\"}"
    )
    manifest = sound(tmp_path, VERSION + PARAMETERS, text)
    assert manifest.sources["orders"].path == "data/${region}/$${region}.csv"
    assert manifest.models["returns"].target.sql == "returned and channel <> '${x}'"


@pytest.mark.parametrize(
    "sql",
    [
        "channel = '${region}'",
        "returned -- ${region}",
        "returned /* ${region} */",
        '"${region}" = channel',
        "channel = a${region}",
        "channel = ${region}b",
    ],
)
def test_a_parameter_within_a_string_a_comment_or_a_word_of_sql_is_an_error(tmp_path: Path, sql: str) -> None:
    text = SHOP.replace("{sql: returned}", f"\n      sql: |\n        {sql}")
    _, issues = read(tmp_path, VERSION + PARAMETERS, text)
    assert [(issue.rule, issue.culprit) for issue in issues if issue.severity == "error"] == [
        ("parameter-in-sql-text", "${region}")
    ]
    assert any("'a' || ${name}" in issue.fix for issue in issues)


def test_a_place_in_sql_after_a_parameter_is_its_place_in_the_file(tmp_path: Path) -> None:
    variables = {"METAPLATFORM_PARAMETER_REGION": "a region's name, much longer\nthan its place"}
    text = SHOP.replace("{sql: returned}", "\n      sql: |\n        ${region} <> channel and\n          retrned")
    _, issues = read(tmp_path, VERSION + PARAMETERS, text, variables=variables)
    assert told(issues) == [("metadata/b.yaml:23:11", "unknown-column", "retrned", "returned")]


def test_a_place_on_the_line_of_a_parameter_is_found_too(tmp_path: Path) -> None:
    text = SHOP.replace("{sql: returned}", '{sql: "${region} <> channel and retrned"}')
    _, issues = read(tmp_path, VERSION + PARAMETERS, text)
    assert told(issues) == [("metadata/b.yaml:20:45", "unknown-column", "retrned", "returned")]


VALUES: dict[ParameterType, st.SearchStrategy[Value]] = {
    "text": st.text(max_size=40).filter(lambda text: "\0" not in text),
    "integer": st.integers(-(10**18), 10**18),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "duration": st.tuples(st.integers(0, 999), st.sampled_from(["days", "months", "hours"])).map(
        lambda pair: f"{pair[0]} {pair[1]}"
    ),
}
CONTEXTS = (
    "amount > ?",
    "amount -?",
    "-?",
    "?",
    "f = ? and g = 'x'",
    "case when a then ? else 'it''s' end",
    "(?)",
    "?+1",
)


@example("amount -?", ("number", -0.0))
@given(
    st.sampled_from(CONTEXTS),
    st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])),
)  # type: ignore[arg-type]
def test_whatever_a_parameter_holds_it_is_one_literal_and_changes_nothing_beside_it(
    context: str, typed: tuple[ParameterType, Value]
) -> None:
    kind, value = typed
    start = context.index("?")
    literal = sql_of(kind, value_of(kind, value))
    made, _ = sql_spliced(context, [(start, start + 1)], [literal], otherwise="")
    assert made == context.replace("?", literal)
    around = parse_expression(context.replace("?", "placed"))
    assert parse_expression(made) == around.transform(_placed, parse_expression(literal))


def _placed(node: exp.Expr, literal: exp.Expr) -> exp.Expr:
    return literal.copy() if isinstance(node, exp.Column) and node.name == "placed" else node


@given(VALUES["text"])
def test_text_in_sql_comes_back_as_it_was(text: str) -> None:
    assert parse_expression(sql_of("text", text)).this == text


def test_an_sql_text_that_cannot_be_read_gets_no_literal() -> None:
    made, _ = sql_spliced("a = ? and 'open", [(4, 5)], ["'secret'"], otherwise="")
    assert "secret" not in made
    with pytest.raises(SqlPlaceError):
        sql_spliced("a = '?'", [(5, 6)], ["1"], otherwise="")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.5"),
        ("integer", "x"),
        ("number", "nan"),
        ("number", "1_0"),
        ("boolean", "yes"),
        ("duration", "soon"),
        ("text", "x" * 1_001),
        ("text", "x\udcff"),
    ],
)
def test_a_text_of_another_type_is_refused(kind: ParameterType, text: str) -> None:
    with pytest.raises(ValueError, match=kind):
        value_of_text(kind, text)
