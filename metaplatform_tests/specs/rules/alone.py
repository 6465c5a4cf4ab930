"""One rule, alone, on a small book: what it must tell, and where it must be silent.

What is told is written as one line, ``severity rule at place: culprit``, then words of the message or the fix behind
``|``. A place is the path from the entity to the value, ``(key)`` behind it where the key is meant, and line and column
within SQL.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import yaml

from metaplatform.chapters import CHAPTERS
from metaplatform.errors import Issue, Location
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Looks
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules import check_book
from metaplatform.specs.rules.book import Rule
from metaplatform.specs.structure import read_entity

Body = dict[str, Any]
GONE = object()
"""Takes a key out of the shop."""
SHOP: Body = yaml.safe_load("""
sources:
  orders:
    kind: csv
    path: data/orders/*.csv
    columns: {id: bigint, customer: varchar, at: timestamp, amount: double, late: boolean, days: integer}
    key: [id]
    event_timestamp: at
    partitions: {every: day, start: "2024-01-01"}
    outcomes: {columns: [late, days], delay: 7 days}
  visits:
    kind: parquet
    path: data/visits/*.parquet
    columns: {customer: varchar, seen: timestamp, pages: integer, bought: boolean}
    derive: {long: pages > 9}
    key: [customer, seen]
    event_timestamp: seen
    outcomes: {columns: [bought], delay: 2 days}
  customers:
    kind: json
    path: data/customers.json
    columns: {name: varchar, country: varchar}
    key: [name]
tables:
  big:
    sql: select id, customer, at, amount from raw.orders where amount > 100
    partitioned_by: raw.orders
    key: [id]
    event_timestamp: at
feature_sets:
  facts:
    spine: raw.orders
    features:
    - {kind: expression, columns: {price: amount, hour: hour(at)}}
    - {kind: lookup, table: raw.customers, "on": {customer: name}, columns: {country: country}}
    - {kind: as_of, table: raw.visits, "on": {customer: customer}, delay: 1 day, within: 30 days,
       columns: {seen_pages: pages}}
    - {kind: window, table: raw.visits, "on": {customer: customer}, window: 30 days, delay: 2 days, where: pages > 1,
       columns: {visits: count(*), bought: sum(bought::integer)}}
models:
  lateness:
    kind: xgboost
    task: binary
    feature_set: facts
    features: [price, hour, country, visits]
    exclude: [visits]
    target: {sql: late, exclude: days is null}
    training: {window: 1 year, holdout: 1 month}
    promotion: {metric: roc_auc}
    retrain:
      cooldown: 1 day
      schedule: 0 6 * * 1
      timezone: Europe/Berlin
      drift: {monitors: [shift]}
      performance: {monitors: [quality]}
  delay:
    kind: xgboost
    task: regression
    feature_set: facts
    target: {sql: days}
    label_delay: 7 days
    training: {window: 1 year, holdout: 1 month}
    promotion: {metric: rmse}
predictions:
  lateness_scores: {model: lateness, keep: [customer]}
  delays: {model: delay, version: 1}
outputs:
  shown: {kind: views, tables: [tables.big, predictions.lateness_scores], tags: {team: sales}}
  page: {kind: report, title: Orders, sql: select count(*) as n from tables.big}
monitors:
  shift: {kind: drift, prediction: lateness_scores, exclude: [hour]}
  quality: {kind: performance, prediction: lateness_scores, metrics: {roc_auc: {min: 0.6}}}
reactions:
  call:
    prediction: lateness_scores
    when: probability > 0.8 and customer <> 'me'
    rank_by: probability
    columns: [id, customer]
    materialize: [outputs.page]
    notify: [{kind: file}]
alerts:
  on_duty: {notify: [{kind: file}], docs: "https://example.com"}
""")


class PathPlaces:
    """Places that are the paths themselves."""

    def of(self, ref: str, path: Path = (), *, key: bool = False, sql: tuple[int, int] | None = None) -> Location:
        return Location("/".join(map(str, (ref, *path))) + " (key)" * key, *(sql or (0, 0)))


def shop(changes: Mapping[str, object] | None = None) -> Body:
    """Return the shop with values changed: path → value; an index behind a list's end appends to it."""
    book = deepcopy(SHOP)
    for path, value in (changes or {}).items():
        *above, last = path.split("/")
        found: Any = book
        for key in above:
            found = found[int(key)] if isinstance(found, list) else found.setdefault(key, {})
        if isinstance(found, list):
            found[int(last) : int(last) + 1] = [] if value is GONE else [value]
        elif value is GONE:
            del found[last]
        else:
            found[last] = value
    return book


def judge(
    rules: tuple[Rule, ...],
    book: Mapping[str, Mapping[str, Body]],
    *,
    looks: Looks | None = None,
    folders: Sequence[str] = (),
    whole: bool = True,
) -> tuple[Issue, ...]:
    """Return what rules find in a book at ``/project``; what is broken of it is known in part."""
    reads = {
        CHAPTERS[chapter].ref(name): (chapter, name, read_entity(chapter, name, body))
        for chapter, bodies in book.items()
        for name, body in bodies.items()
    }
    sound: dict[str, Any] = {chapter: {} for chapter in CHAPTERS}
    for chapter, name, read in reads.values():
        if read.entity is not None:
            sound[chapter][name] = read.entity
    parts = {ref: read.part for ref, (_, _, read) in reads.items() if read.part is not None}
    places = PathPlaces()
    locations = {ref: places.of(ref) for ref in reads}
    manifest = Manifest(root="/project", source_folders=tuple(folders), locations=locations, **sound)
    return check_book(manifest, places, looks=looks, parts=parts, whole=whole, rules=rules)


def short(issue: Issue) -> str:
    near = f", perhaps {issue.nearest}" if issue.nearest else ""
    return f"{issue.severity} {issue.rule} at {issue.location}: {issue.culprit}{near}"


def tells(rule: Rule, book: Mapping[str, Mapping[str, Body]], *wanted: str, **context: Any) -> None:
    """Hold what a rule finds against one line an issue, in the order of telling."""
    issues = judge((rule,), book, **context)
    lines = [line.split(" | ") for line in wanted]
    told = [short(issue) for issue in issues]
    assert told == [line for line, *_ in lines], "\n".join(("told is:", *told))
    for issue, (_, *words) in zip(issues, lines, strict=True):
        assert str(issue.location).startswith(issue.owner)
        for each in words:
            assert each in f"{issue.message}; {issue.fix}", f"{each!r} is not in: {issue.message}; {issue.fix}"


def silent(rule: Rule, book: Mapping[str, Mapping[str, Body]], **context: Any) -> None:
    """Hold a rule to finding nothing."""
    told = [short(issue) for issue in judge((rule,), book, **context)]
    assert told == [], "\n".join(("told is:", *told))
