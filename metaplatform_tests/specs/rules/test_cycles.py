"""Cycles: nothing waits for itself."""

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.rules.cycles import dependency_cycles
from metaplatform_tests.specs.rules.alone import Body, judge, shop, silent, tells


def tables(**reads: str) -> Body:
    """Return a book of tables: the name of each, and the names of those that its SQL reads."""
    return {"tables": {name: {"sql": sql_over(others.split())} for name, others in reads.items()}}


def sql_over(names: list[str]) -> str:
    return f"select 1 as x from {', '.join(f'tables.{name}' for name in names)}" if names else "select 1 as x"  # noqa: S608


def test_a_table_that_reads_itself() -> None:
    tells(
        dependency_cycles,
        {"tables": {"a": {"sql": "select x from tables.a"}}},
        "error cycle at tables.a/sql:1:15: tables.a → tables.a | waits for itself",
    )


def test_a_loop_is_told_once_at_the_first_entity_of_the_book() -> None:
    tells(
        dependency_cycles,
        tables(free="b", b="c", c="a", a="b"),
        "error cycle at tables.b/sql:1:20: tables.b → tables.c → tables.a → tables.b | 'tables.b' waits for itself",
    )


def test_what_only_leads_into_a_loop_or_out_of_it_is_not_in_it() -> None:
    book = tables(before="a", a="a after", after="")
    tells(dependency_cycles, book, "error cycle at tables.a/sql:1:20: tables.a → tables.a")


def test_what_lies_between_two_loops_is_in_neither() -> None:
    tells(
        dependency_cycles,
        tables(a="b", b="a bridge", bridge="c", c="d", d="c"),
        "error cycle at tables.a/sql:1:20: tables.a → tables.b → tables.a",
        "error cycle at tables.c/sql:1:20: tables.c → tables.d → tables.c",
    )


def test_of_several_loops_the_shortest_is_told_first() -> None:
    tells(
        dependency_cycles,
        tables(a="b c", b="d", d="e", e="a", c="a"),
        "error cycle at tables.a/sql:1:30: tables.a → tables.c → tables.a",
        "error cycle at tables.b/sql:1:20: tables.b → tables.d → tables.e → tables.a → tables.b",
    )


def test_to_be_ordered_behind_is_to_wait() -> None:
    book = shop({"sources/customers/after": ["tables.big"], "tables/big/after": ["raw.visits", "raw.customers"]})
    tells(
        dependency_cycles,
        book,
        "error cycle at raw.customers/after/0: raw.customers → tables.big → raw.customers",
    )


def test_a_loop_through_every_chapter_is_shown_whole() -> None:
    tells(
        dependency_cycles,
        shop({"sources/visits/after": ["outputs.shown"]}),
        "error cycle at raw.visits/after/0: raw.visits → outputs.shown → predictions.lateness_scores → models.lateness"
        " → features.facts → raw.visits",
    )


def test_a_model_does_not_wait_for_the_monitors_that_vote() -> None:
    assert shop()["models"]["lateness"]["retrain"]["drift"] == {"monitors": ["shift"]}
    silent(dependency_cycles, shop())


def test_two_ways_to_the_same_table_are_no_loop() -> None:
    silent(dependency_cycles, tables(a="b c", b="d", c="d", d=""))


def test_a_reference_to_nothing_leads_nowhere() -> None:
    silent(dependency_cycles, tables(a="b", b="nothing"))


graphs = st.integers(1, 7).flatmap(
    lambda size: st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=12).map(
        lambda edges: {f"t{one}": sorted({f"t{to}" for start, to in edges if start == one}) for one in range(size)}
    )
)


@given(graphs)
def test_of_any_graph_loops_are_told_if_and_only_if_it_cannot_be_ordered(graph: dict[str, list[str]]) -> None:
    issues = judge((dependency_cycles,), tables(**{name: " ".join(reads) for name, reads in graph.items()}))
    try:
        TopologicalSorter(graph).prepare()
        ordered = True
    except CycleError:
        ordered = False
    assert bool(issues) != ordered
    shown = [[part.removeprefix("tables.") for part in issue.culprit.split(" → ")] for issue in issues]
    for path in shown:
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1
        assert all(to in graph[start] for start, to in pairwise(path))
    loops = [frozenset(pairwise(path)) for path in shown]
    assert len(set(loops)) == len(loops)


@given(graphs)
def test_without_the_references_that_are_told_one_after_the_other_nothing_is_left_to_tell(
    graph: dict[str, list[str]],
) -> None:
    for _ in range(1 + sum(map(len, graph.values()))):
        issues = judge((dependency_cycles,), tables(**{name: " ".join(reads) for name, reads in graph.items()}))
        for issue in issues:
            start, to, *_ = [part.removeprefix("tables.") for part in issue.culprit.split(" → ")]
            graph[start].remove(to)
    assert issues == ()
