"""Books that are sound, drawn at random: random schemas, queries, feature blocks, models and watchers.

Each draw is a whole book as plain values, every entity used, nothing that any rule should find fault with.
"""

# ruff: noqa: S608 — the SQL is what is made here

from dataclasses import dataclass, field
from typing import Any

import yaml
from hypothesis import strategies as st

Body = dict[str, Any]
TYPES = {
    "number": ["bigint", "integer", "double", "decimal(9, 2)", "smallint"],
    "text": ["varchar"],
    "boolean": ["boolean"],
    "moment": ["timestamp", "timestamptz", "date"],
}
ODD_NAMES = ["Größe (cm)", 'say "hi"', "select", "naïve,name", "a.b", "Über Wert", "1st", "x'y"]
SPANS = ["1 hour", "90 minutes", "7 days", "2 weeks", "1 month", "1 quarter"]


@dataclass(frozen=True)
class Columns:
    """Columns at hand for expressions: name → kind; ``alias`` stands before each where a query has several."""

    kinds: dict[str, str]
    alias: str = ""

    def of(self, kind: str) -> list[str]:
        return [self.written(name) for name, each in self.kinds.items() if each == kind]

    def written(self, name: str) -> str:
        doubled = name.replace('"', '""')
        return f'{self.alias}."{doubled}"' if self.alias else f'"{doubled}"'


@dataclass
class Draft:
    """A book in the making, and what is known of its tables."""

    book: dict[str, dict[str, Body]] = field(default_factory=dict)
    kinds: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, chapter: str, name: str, body: Body) -> str:
        self.book.setdefault(chapter, {})[name] = body
        return name


@st.composite
def sound_books(draw: st.DrawFn) -> dict[str, dict[str, Body]]:
    """Draw a sound book: chapter → name → fields."""
    draft = Draft()
    for number in range(draw(st.integers(1, 3))):
        _source(draw, draft, number)
    for number in range(draw(st.integers(0, 2))):
        _table(draw, draft, number)
    if draw(st.booleans()):
        _model(draw, draft)
    draft.add("outputs", "everything", {"kind": "views", "tables": sorted(draft.kinds)})
    return draft.book


def as_yaml(book: dict[str, dict[str, Body]]) -> str:
    """Return a book as YAML text."""
    return yaml.safe_dump({**book, "spec_version": 2}, allow_unicode=True, sort_keys=False)


def expressions(draw: st.DrawFn, columns: Columns, kind: str, depth: int = 2) -> str:
    """Draw an expression of a kind over columns."""

    def part(wanted: str) -> str:
        return expressions(draw, columns, wanted, depth - 1)

    simple = {"number": ["1", "2.5"], "text": ["'a'", "''"], "boolean": ["true"], "moment": ["timestamp '2024-01-01'"]}
    forms = [*columns.of(kind) * 3, *simple[kind]]
    if depth == 0:
        return draw(st.sampled_from(forms))
    known = [each for each in TYPES if columns.of(each)]
    deeper = {
        "number": [("({} + {})", "nn"), ("abs({})", "n"), ("coalesce({}, 0)", "n"), ("length({})", "t"),
                   ("year({})", "m"), ("case when {} then {} else {} end", "bnn"), ("({} / nullif({}, 0))", "nn"),
                   ("{}::integer", "b"), ("date_part('hour', {})", "m"), ("greatest({}, {})", "nn")],
        "text": [("upper({})", "t"), ("({} || 'x')", "t"), ("coalesce({}, '')", "t"), ("left({}, 2)", "t"),
                 ("{}::varchar", "n"), ("case when {} then 'a' else {} end", "bt"), ("strftime({}, '%Y')", "m")],
        "boolean": [("({} > {})", "nn"), ("({} = 'x')", "t"), ("({} like 'a%')", "t"), ("({} and {})", "bb"),
                    ("(not {})", "b"), ("({} between 1 and {})", "nn"), ("({} in ('a', 'b'))", "t"),
                    ("({} is not null)", "m"), ("({} >= '2024-01-01')", "m"), ("({} < {})", "mm"),
                    ("({} <> {})", "tt")],
        "moment": [("date_trunc('day', {})", "m"), ("({} + interval 1 day)", "m"), ("coalesce({}, {})", "mm")],
    }  # fmt: skip
    letters = {"n": "number", "t": "text", "b": "boolean", "m": "moment"}
    choices = [each for each in deeper[kind] if {letters[letter] for letter in each[1]} <= {*known, kind}]
    if not choices or draw(st.booleans()):
        return draw(st.sampled_from(forms))
    text, needed = draw(st.sampled_from(choices))
    return str(text).format(*(part(letters[letter]) for letter in needed))


def _presentation(draw: st.DrawFn) -> Body:
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "description": st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"]), max_size=20),
                "owners": st.just(["team:data-science", "jo.smith+x@example.com"]),
                "tags": st.just({"domain": "sales", "acme/tier": "v1.2"}),
                "docs": st.just("https://example.com/wiki#x"),
            },
        )
    )


def _source(draw: st.DrawFn, draft: Draft, number: int) -> None:
    name = f"source_{number}"
    kinds: dict[str, str] = {
        "id": "number",
        "who": "text",
        "at": "moment",
        "outcome": "number",
        "kept_apart": "boolean",
    }
    extra = draw(st.lists(st.sampled_from([*TYPES]), max_size=4))
    odd = draw(st.permutations(ODD_NAMES))
    kinds |= {(odd[index] if draw(st.booleans()) else f"Column_{index}"): kind for index, kind in enumerate(extra)}
    types = {each: draw(st.sampled_from(TYPES[kind])) for each, kind in kinds.items()}
    types["id"] = draw(st.sampled_from(["bigint", "integer", "decimal(9, 2)"]))
    types["at"] = draw(st.sampled_from(["timestamp", "timestamptz"]))
    body: Body = {"kind": draw(st.sampled_from(["csv", "parquet", "json"])), "columns": types, **_presentation(draw)}
    body["path"] = f"data/{name}/**/*.{body['kind']}"
    body |= {"key": ["id"], "event_timestamp": "at"}
    if draw(st.booleans()):
        body["partitions"] = draw(
            st.sampled_from(
                [
                    {"every": "month", "start": "2024-01", "timezone": "Europe/Berlin"},
                    {"every": "day", "start": "2024-02-29"},
                    {"every": "hour", "start": "2024-01-01T00"},
                ]
            )
        )
    body["outcomes"] = {"columns": ["outcome", "kept_apart"], "delay": draw(st.sampled_from(["1 hour", "7 days"]))}
    if draw(st.booleans()):
        kind = draw(st.sampled_from([*TYPES]))
        known = {each: k for each, k in kinds.items() if each not in {"outcome", "kept_apart"}}
        body["derive"] = {"derived": expressions(draw, Columns(known), kind)}
        kinds["derived"] = kind
    draft.add("sources", name, body)
    draft.kinds[f"raw.{name}"] = kinds


def _table(draw: st.DrawFn, draft: Draft, number: int) -> None:
    ref = draw(st.sampled_from(sorted(draft.kinds)))
    columns = {name: kind for name, kind in draft.kinds[ref].items() if name not in {"outcome", "kept_apart"}}
    names = draw(st.lists(st.sampled_from([*TYPES]), min_size=1, max_size=3))
    own = Columns(columns, "t")
    picked = [f"{expressions(draw, own, kind)} as c{index}" for index, kind in enumerate(names)]
    form = draw(st.sampled_from(["plain", "grouped", "joined", "cte", "union"]))
    where = expressions(draw, own, "boolean")
    kinds = {f"c{index}": kind for index, kind in enumerate(names)}
    if form == "grouped":
        number_of = expressions(draw, own, "number")
        sql = f"select {', '.join(picked)}, sum({number_of}) as total, count(*) as n from {ref} as t group by all"
        kinds |= {"total": "number", "n": "number"}
    elif form == "joined":
        sql = (
            f"select {', '.join(picked)} from {ref} as t left join {ref} as u on t.{_any(columns)} = u.{_any(columns)}"
        )
    elif form == "cte":
        inner = f"select {', '.join(picked)} from {ref} as t where {where}"
        sql = f"with picked as ({inner}) select *, c0 is null as missing from picked order by c0 limit 10"
        kinds["missing"] = "boolean"
    elif form == "union":
        one = f"select {', '.join(picked)} from {ref} as t"
        sql = f"{one} union all {one} where {where}"
    else:
        sql = f"select {', '.join(picked)} from {ref} as t where {where}"
    body: Body = {"sql": sql, **_presentation(draw)}
    if draft.book["sources"].get(ref.removeprefix("raw."), {}).get("partitions") and draw(st.booleans()):
        body["partitioned_by"] = ref
    draft.add("tables", f"table_{number}", body)
    draft.kinds[f"tables.table_{number}"] = kinds


def _any(columns: dict[str, str]) -> str:
    return '"' + next(iter(columns)).replace('"', '""') + '"'


def _model(draw: st.DrawFn, draft: Draft) -> None:
    spine = draw(st.sampled_from([f"raw.{name}" for name in draft.book["sources"]]))
    known = {name: kind for name, kind in draft.kinds[spine].items() if name not in {"outcome", "kept_apart"}}
    blocks: list[Body] = [{"kind": "expression", "columns": {"f0": expressions(draw, Columns(known), "number")}}]
    above = known | {"f0": "number"}
    for index in range(1, draw(st.integers(1, 4))):
        block, kinds = _block(draw, draft, index, above)
        blocks.append(block)
        above |= kinds
    draft.add("feature_sets", "things", {"spine": spine, "features": blocks, **_presentation(draw)})
    binary = draw(st.booleans())
    target = draw(st.sampled_from(["kept_apart", "outcome > 3"] if binary else ["outcome", "outcome * 2 + 1"]))
    metric = draw(st.sampled_from(["roc_auc", "log_loss", "brier"] if binary else ["rmse", "mae", "r2"]))
    model: Body = {
        "kind": "xgboost",
        "task": "binary" if binary else "regression",
        "feature_set": "things",
        "target": {"sql": target, "exclude": "outcome is null"},
        "training": {"window": "1 year", "holdout": draw(st.sampled_from(SPANS)), "parameters": {"max_depth": 3}},
        "promotion": {"metric": metric, "min_gain": draw(st.sampled_from([0, 0.01]))},
        "retrain": {
            "cooldown": draw(st.sampled_from(SPANS)),
            "schedule": draw(st.sampled_from(["0 6 * * 1", "*/5 1-3 1,15 jan *", "0 0 29 2 *"])),
            "drift": {"monitors": ["drifts"], "failures": 1, "of": draw(st.integers(1, 3))},
            "performance": {"monitors": ["performs"]},
        },
    }
    draft.add("models", "guess", model)
    draft.add("predictions", "guesses", {"model": "guess", "keep": ["who"], **_presentation(draw)})
    draft.add("monitors", "drifts", {"kind": "drift", "prediction": "guesses", "exclude": ["f0"]})
    limit = {"max_loss": 0.2} if binary else {"min": -1, "max_loss": 0.1} if metric == "r2" else {"max": 10}
    draft.add("monitors", "performs", {"kind": "performance", "prediction": "guesses", "metrics": {metric: limit}})
    score = "probability" if binary else "prediction"
    draft.kinds["predictions.guesses"] = {"id": "number", "at": "moment", "who": "text", score: "number"}
    # A drawn comparison of a probability could be one that never holds, which is no sound condition.
    known_of_prediction = Columns({"who": "text"} if binary else {"who": "text", score: "number"})
    when = f"{score} > 0.7 and {expressions(draw, known_of_prediction, 'boolean', 1)}"
    draft.add("reactions", "tell", {"prediction": "guesses", "when": when, "notify": [{"kind": "file"}]})
    draft.add("alerts", "on_duty", {"notify": [{"kind": "apprise", "url_env": "URL_A"}], **_presentation(draw)})


def _block(draw: st.DrawFn, draft: Draft, index: int, above: dict[str, str]) -> tuple[Body, dict[str, str]]:
    kind = draw(st.sampled_from(["expression", "lookup", "as_of", "window"]))
    wanted = draw(st.sampled_from([*TYPES]))
    name = f"f{index}"
    if kind == "expression":
        return {"kind": kind, "columns": {name: expressions(draw, Columns(above), wanted)}}, {name: wanted}
    table = draw(st.sampled_from([f"raw.{source}" for source in draft.book["sources"]]))
    theirs = {each: k for each, k in draft.kinds[table].items() if each not in {"outcome", "kept_apart"}}
    body: Body = {"kind": kind, "table": table, "on": draw(st.sampled_from([{"who": "who"}, {"id": "id"}]))}
    if kind == "window":
        body |= {"window": "30 days", "delay": draw(st.sampled_from(["7 days", "2 weeks"]))}
        aggregate = draw(
            st.sampled_from(["count(*)", "sum(outcome)", "avg(kept_apart::integer)", "max(who)", "min(at)"])
        )
        if draw(st.booleans()):
            body["where"] = expressions(draw, Columns(theirs), "boolean")
        given = "text" if aggregate.startswith("max") else "moment" if aggregate.startswith("min") else "number"
        return {**body, "columns": {name: aggregate}}, {name: given}
    if kind == "as_of" and draw(st.booleans()):
        body |= {"delay": "1 day", "within": "30 days"}
    return {**body, "columns": {name: expressions(draw, Columns(theirs), wanted)}}, {name: wanted}
