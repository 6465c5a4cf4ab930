"""Whatever a book mixes of its language, reading it ends in a manifest or in issues with a place."""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaplatform.chapters import CHAPTERS
from metaplatform.specs.book.columns import columns_of
from metaplatform.specs.language.merging import laid_over
from metaplatform.specs.loading import read_book
from metaplatform.specs.yaml_source import read_yaml
from metaplatform_tests.scenario import BOOK
from metaplatform_tests.specs.language.books import write_book

ROOT = read_yaml(BOOK)
assert ROOT is not None
SHOP: dict[str, dict[str, dict[str, Any]]] = ROOT.plain()
NAMES = ("low", "rounds", "window", "flag", "share")
KEYS = sorted({key for bodies in SHOP.values() for body in bodies.values() for key in body} | {"kind", "owners", "x"})

signs = st.sampled_from(
    [*(f"${{{name}}}" for name in NAMES), "$${x}", "${", "${}", "a ${low} b", "'${low}'", "${unknown}"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5_000),
    st.floats(allow_nan=False),
    signs,
    st.sampled_from(["returned", "raw.orders", "7 days", "csv", "drift", "amount > ${rounds}", "x"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
partials = st.dictionaries(
    st.sampled_from([*CHAPTERS, "modles"]),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=3) | values,
    max_size=3,
)
parameters = st.dictionaries(
    st.sampled_from(NAMES),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "integer", "number", "boolean", "duration", "secret"])},
        optional={"default": scalars, "env": st.sampled_from(["LOW", "low"]), "description": scalars},
    )
    | values,
    max_size=4,
)
variables = st.dictionaries(
    st.sampled_from(["LOW", *(f"METAPLATFORM_PARAMETER_{name.upper()}" for name in NAMES)]),
    st.text(max_size=8),
    max_size=3,
)


def written(value: Any, **options: Any) -> str:
    return str(yaml.dump(value, Dumper=yaml.CSafeDumper, **options))


@st.composite
def overlays(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an overlay: partial bodies of entities that mostly exist."""
    overlay: dict[str, Any] = draw(st.just({}) | partials)
    for _ in range(draw(st.integers(0, 3))):
        chapter = draw(st.sampled_from(sorted(SHOP)))
        name = draw(st.sampled_from(sorted(SHOP[chapter])) | st.just("nobody"))
        key = draw(st.sampled_from(sorted(SHOP[chapter].get(name, {"x": 1}))))
        if isinstance(overlay.setdefault(chapter, {}), dict):
            overlay[chapter][name] = {key: draw(values)}
    if draw(st.booleans()):
        overlay["defaults"] = draw(partials)
    if draw(st.booleans()):
        overlay["parameters"] = draw(parameters)
    return overlay


@st.composite
def mixed_books(draw: st.DrawFn) -> dict[str, str]:
    """Draw the shop with parameters, defaults, anchors and merge keys put into it, and an overlay."""
    book: dict[str, Any] = {
        chapter: {name: dict(body) for name, body in bodies.items()} for chapter, bodies in SHOP.items()
    }
    for _ in range(draw(st.integers(0, 3))):
        body = draw(st.sampled_from([body for bodies in book.values() for body in bodies.values()]))
        body[draw(st.sampled_from([*sorted(body), *KEYS]))] = draw(values)
    for _ in range(draw(st.integers(0, 2))):
        # The same object twice is written as an anchor and an alias.
        chapter = draw(st.sampled_from(sorted(book)))
        bodies = list(book[chapter].values())
        bodies[0]["x"] = bodies[-1]["tags"] = draw(values)
    text = written(book, sort_keys=False)
    for _ in range(draw(st.integers(0, 2))):
        text = text.replace(
            "    kind: csv\n",
            f"    <<: {draw(st.sampled_from(['*shared', '[*shared, *shared]', '3', '*scalar']))}\n",
            1,
        )
    head = {"spec_version": draw(st.sampled_from([2, 2, 2, 2, 1, 3, "x"])), "parameters": draw(parameters)}
    shared = draw(st.dictionaries(st.sampled_from(KEYS), scalars, max_size=3))
    anchors = f"x-a: &shared {written(shared, default_flow_style=True)}x-s: &scalar s\n"
    return {
        "metadata/a.yaml": written({key: value for key, value in head.items() if draw(st.integers(0, 5))}),
        "metadata/b.yaml": anchors + text,
        "metadata/c.yaml": written({"defaults": draw(partials)}),
        "metadata/d.yaml": written({"defaults": draw(partials)}) if draw(st.booleans()) else "",
        "environments/prod.yaml": written(draw(overlays())),
    }


@given(mixed_books(), variables, st.sampled_from(["prod", "none", None]))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_mix_of_the_language_ends_otherwise_than_in_a_manifest_or_issues_with_a_place(
    files: dict[str, str], variables: dict[str, str], environment: str | None
) -> None:
    with tempfile.TemporaryDirectory() as root:
        manifest, issues = read_book(write_book(Path(root), files), variables=variables, environment=environment)
    assert (manifest is None) == any(issue.severity == "error" for issue in issues)
    for issue in issues:
        assert issue.location is not None
        assert str(issue)
        text = files.get(issue.location.file)
        assert text is not None or issue.rule == "unknown-environment"
        assert issue.location.line <= len((text or "x").splitlines()) + 1
    for ref in manifest.entities if manifest else ():
        assert manifest is not None
        manifest.spec_hash(ref)
        columns_of(manifest, ref)


mappings = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.none() | st.integers(0, 3),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@given(mappings, mappings)
def test_laying_a_mapping_over_another_keeps_all_of_it_but_nulls(base: dict[str, Any], over: dict[str, Any]) -> None:
    nodes = [read_yaml(written(mapping)) for mapping in (base, over)]
    assert nodes[0] is not None
    assert nodes[1] is not None
    _check(base, over, laid_over(nodes[0], nodes[1]).plain())


def _check(base: Any, over: Any, found: Any) -> None:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        assert found == over
        return
    gone = {key for key in over if key in base and over[key] is None}
    assert set(found) == (set(base) | set(over)) - gone
    for key in found:
        _check(base.get(key), over[key], found[key]) if key in over and key in base else None
        assert key in over or found[key] == base[key]
