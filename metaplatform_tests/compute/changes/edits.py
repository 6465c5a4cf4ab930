"""Edits of two books, each with exactly what it makes stale: the shop of the tests, and the default book."""

# ruff: noqa: E501  # a line an edit

from dataclasses import dataclass
from pathlib import Path

from metaplatform_tests.scenario import BOOK

METADATA = Path(__file__).parents[3] / "metadata"
FLIGHTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted(METADATA.glob("*.yaml")))
EXTENDED = (
    BOOK
    + """\
  quiet:
    prediction: pinned
    when: probability > 0.9
    notify: [{kind: file}]
"""
)
SHOP = EXTENDED.replace(
    "feature_sets:\n",
    """\
  spenders:
    sql: >-
      select customer, sum(amount) as spent from raw.orders
      where amount > 10 and channel = 'web' group by customer
    key: [customer]

feature_sets:
""",
).replace("predictions:\n", "predictions:\n  pinned: {model: returns, version: 1}\n", 1)

ALERTS = "\nalerts:\n  on_call: {after: [raw.orders], notify: [{kind: file}]}\n"
FEATURES = "features.order_features"
MODEL = "models.returns"
CHAMPIONS = frozenset(
    {"predictions.order_returns", "outputs.returns_file", "outputs.returns_views", "outputs.returns_report"}
)
SCORED = CHAMPIONS | {"predictions.pinned"}
BELOW_FEATURES = frozenset({FEATURES, MODEL}) | SCORED
BELOW_MODEL = frozenset({MODEL}) | CHAMPIONS
BELOW_ORDERS = BELOW_FEATURES | {"raw.orders", "tables.channels", "tables.spenders"}
FLIGHT_OUTPUTS = frozenset({"outputs.late_flights_file", "outputs.late_flights_views", "outputs.operations_report"})
BELOW_FLIGHT_MODEL = frozenset({"models.late_arrival", "predictions.late_flights"}) | FLIGHT_OUTPUTS
BELOW_FLIGHT_FEATURES = BELOW_FLIGHT_MODEL | {"features.flight_features"}


@dataclass(frozen=True)
class Edit:
    """Pieces of a book replaced: ``stale`` is made again, ``told`` is named and makes nothing, ``breaking`` breaks."""

    name: str
    pieces: tuple[tuple[str, str], ...]
    stale: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    breaking: frozenset[str] = frozenset()
    automation: frozenset[str] = frozenset()
    book: str = SHOP

    def edited(self) -> str:
        """Return the book after the edit; each piece must be there."""
        text = self.book
        for old, new in self.pieces:
            assert old in text, old
            text = text.replace(old, new)
        return text


def edit(name: str, *pieces: tuple[str, str], book: str = SHOP, **sets: set[str] | frozenset[str]) -> Edit:
    return Edit(name, pieces, book=book, **{key: frozenset(value) for key, value in sets.items()})


NOTHING = (
    edit("a comment in YAML", ("    kind: csv\n", "    kind: csv  # delimited\n")),
    edit("a comment in SQL", ("      where p.probability > 0.5", "      -- the likely ones\n      where p.probability > 0.5")),
    edit("keys in another order", ("    key: [customer]\n\n", "    key:\n    - customer\n\n"), ("task: binary\n    feature_set: order_features", "feature_set: order_features\n    task: binary")),
    edit("quotes in YAML", ("task: binary", "task: 'binary'"), ("spine: raw.orders", 'spine: "raw.orders"')),
    edit("quotes in SQL", ("select channel, count(*) as orders", 'select "channel", count(*) as "orders"')),
    edit("SQL laid out anew", ("select channel, count(*) as orders from raw.orders group by channel", "|\n      SELECT\n        channel,\n        COUNT(*) AS orders\n      FROM raw.orders\n      GROUP BY channel\n")),
    edit("an alias in another case", ("from predictions.order_returns as p join", "from predictions.order_returns P join"), ("p.order_id, p.channel", "P.order_id, P.channel")),
    edit("a column looked up in another case", ("group by channel", "group by CHANNEL"), ("isodow(ordered_at)", "isodow(Ordered_At)")),
    edit("redundant parentheses", ("when: probability > 0.5", "when: ((probability) > (0.5))"), ("where p.probability > 0.5", "where (p.probability > 0.5)")),
    edit("terms of and in another order", ("where amount > 10 and channel = 'web'", "where channel = 'web' and (amount > 10)")),
    edit("the words inner and asc", ("join tables.channels as c", "inner join tables.channels c"), ("p.probability desc, p.order_id", "p.probability desc, p.order_id asc")),
    edit("a type's other name", ("order_id: bigint", "order_id: int8"), ("returned: boolean", "returned: bool")),
    edit("a span in another unit", ("window: 14 days", "window: 2 weeks"), ("delay: 1 day\n        columns", "delay: 24 hours\n        columns")),
    edit("a cast written otherwise", ("avg(returned::integer)", "avg(cast(returned as int))")),
    edit("a default spelled out", ("version: 1}", "version: 1, keep: []}"), ("keep: [channel]", "keep: [channel], version: champion")),
    edit("columns of a source in another order", ("customer: varchar, country: varchar, age: integer", "country: varchar, customer: varchar, age: integer")),
    edit("a set in another order", ("[predictions.order_returns, raw.orders]", "[raw.orders, predictions.order_returns]")),
    edit("owners and a description", ("  returns:\n    kind: xgboost", "  returns:\n    description: comes back?\n    owners: [team:shop]\n    kind: xgboost")),
    edit("tags and a link to docs", ("  channels:\n", "  channels:\n    tags: {tier: gold}\n    docs: https://example.com/channels\n")),
    edit("a feature block's independent columns in another order", ("{country: country, age: age}", "{age: age, country: country}")),
    edit("the flights' SQL laid out anew", ("left join raw.airlines as a on a.carrier = p.carrier", "left outer join raw.airlines a\n        on (a.carrier = p.carrier)"), book=FLIGHTS),
    edit("a flights' comment and case", ("target:\n      sql: arr_delay > 30", "target:\n      sql: (ARR_DELAY > 30)  -- late"), book=FLIGHTS),
)  # fmt: skip

TOLD = (
    edit("a cooldown", ("cooldown: 20 days", "cooldown: 30 days"), told={MODEL}),
    edit("a promotion's minimum", ("metric: roc_auc, min_rows: 200", "metric: roc_auc, min_rows: 300"), told={MODEL}),
    edit("a schedule added", ("cooldown: 20 days", 'cooldown: 20 days\n      schedule: "0 6 1 * *"'), told={MODEL}, automation={"retrain_returns"}),
    edit("a retrain policy gone", ("    retrain:\n      drift: {monitors: [returns_drift]}\n      performance: {monitors: [returns_performance]}\n      cooldown: 20 days\n", ""), told={MODEL}),
    edit("an order without data", ("  channels:\n", "  channels:\n    after: [raw.customers]\n"), told={"tables.channels"}),
    edit("a monitor's threshold", ("drift_share: 0.2", "drift_share: 0.3"), told={"monitoring.returns_drift"}),
    edit("a metric's limit", ("max_loss: 0.1", "max_loss: 0.2"), told={"monitoring.returns_performance"}),
    edit("a reaction's condition", ("when: probability > 0.9", "when: probability > 0.8"), told={"reactions.quiet"}),
    edit("a reaction gone", ("  quiet:\n    prediction: pinned\n    when: probability > 0.9\n    notify: [{kind: file}]\n", ""), told={"reactions.quiet"}),
    edit("an alert gone", (ALERTS, ""), told={"alerts.on_call"}, book=SHOP + ALERTS),
    edit("a monitor added", ("monitors:\n", "monitors:\n  more: {kind: drift, prediction: pinned}\n"), told={"monitoring.more"}),
    edit("the flights' schedule", ('"0 6 3 * *"', '"0 7 3 * *"'), told={"models.late_arrival"}, automation={"retrain_late_arrival"}, book=FLIGHTS),
    edit("the flights' schedule gone", ('      schedule: "0 6 3 * *"\n', ""), told={"models.late_arrival"}, automation={"retrain_late_arrival"}, book=FLIGHTS),
)  # fmt: skip

STALE = (
    edit("a source's column added", ("channel: varchar\n", "channel: varchar\n      coupon: varchar\n"), stale=BELOW_ORDERS),
    edit("a source's type", ("amount: double", "amount: float"), stale=BELOW_ORDERS, breaking={"raw.orders"}),
    edit("a lookup source's column gone", (", age: integer", ""), (", age: age", ""), stale=BELOW_FEATURES | {"raw.customers"}, breaking={"raw.customers", FEATURES}),
    edit("a source's files", ("data/customers.csv", "data/clients.csv"), stale=BELOW_FEATURES | {"raw.customers"}),
    edit("what is read as null", ("path: data/customers.csv", "path: data/customers.csv\n    null_values: [NA]"), stale=BELOW_FEATURES | {"raw.customers"}),
    edit("a source's key", ("key: [order_id]", "key: [order_id, customer]"), stale=BELOW_ORDERS, breaking={"raw.orders"}),
    edit("a source's partitions", ("every: month, start: 2024-01}", "every: day, start: 2024-01-01}"), stale=BELOW_ORDERS, breaking={"raw.orders", FEATURES, "outputs.returns_file", "outputs.returns_report", "predictions.order_returns", "predictions.pinned"}),
    edit("when outcomes are known", ("columns: [returned], delay: 1 day", "columns: [returned], delay: 12 hours"), stale=BELOW_ORDERS),
    edit("a query's condition", ("amount > 10", "amount > 20"), stale={"tables.spenders"}),
    edit("a query's or for its and", ("amount > 10 and", "amount > 10 or"), stale={"tables.spenders"}),
    edit("the case of text", ("channel = 'web'", "channel = 'Web'"), stale={"tables.spenders"}),
    edit("a column of a table gone", ("customer, sum(amount) as spent from", "customer from"), stale={"tables.spenders"}, breaking={"tables.spenders"}),
    edit("a column of a table renamed", ("as spent", "as paid"), stale={"tables.spenders"}, breaking={"tables.spenders"}),
    edit("a table that a report reads", ("count(*) as orders", "count(customer) as orders"), stale={"tables.channels", "outputs.returns_report"}),
    edit("a feature", ("isodow(ordered_at)", "isodow(ordered_at) % 7"), stale=BELOW_FEATURES),
    edit("a feature's window", ("window: 14 days", "window: 15 days"), stale=BELOW_FEATURES),
    edit("a feature added", ("columns: {price: amount", "columns: {dear: amount > 100, price: amount"), stale=BELOW_FEATURES),
    edit("a feature gone", (", weekday: isodow(ordered_at)", ""), stale=BELOW_FEATURES, breaking={FEATURES}),
    edit("a target", ("target: {sql: returned}", "target: {sql: not returned}"), stale=BELOW_MODEL),
    edit("rows kept from training", ("target: {sql: returned}", "target: {sql: returned, exclude: amount < 1}"), stale=BELOW_MODEL),
    edit("a training window", ("window: 2 months", "window: 3 months"), stale=BELOW_MODEL),
    edit("a seed", ("seed: 7", "seed: 8"), stale=BELOW_MODEL),
    edit("a parameter", ("max_depth: 3", "max_depth: 4"), stale=BELOW_MODEL),
    edit("a feature excluded", ("target: {sql: returned}", "exclude: [weekday]\n    target: {sql: returned}"), stale=BELOW_MODEL),
    edit("a label's delay", ("target: {sql: returned}", "label_delay: 2 days\n    target: {sql: returned}"), stale=BELOW_MODEL),
    edit("a pinned version", ("version: 1}", "version: 2}"), stale={"predictions.pinned"}),
    edit("a version pinned", ("keep: [channel]}", "keep: [channel], version: 1}"), stale=CHAMPIONS),
    edit("a kept column added", ("keep: [channel]", "keep: [channel, amount]"), stale=CHAMPIONS),
    edit("a kept column gone", ("keep: [channel]}", "keep: [customer]}"), ("p.channel, c.orders", "c.orders"), ("using (channel)", "on true"), stale=CHAMPIONS, breaking={"predictions.order_returns", "outputs.returns_report"}),
    edit("a file's kind", ("returns_file: {kind: csv", "returns_file: {kind: parquet"), stale={"outputs.returns_file"}, breaking={"outputs.returns_file"}),
    edit("a report's title", ("title: Orders that may", "title: Orders which may"), stale={"outputs.returns_report"}),
    edit("a report's query", ("> 0.5\n      order", "> 0.6\n      order"), stale={"outputs.returns_report"}),
    edit("a view gone", ("[predictions.order_returns, raw.orders]", "[predictions.order_returns]"), stale={"outputs.returns_views"}, breaking={"outputs.returns_views"}),
    edit("a table added", ("  spenders:\n", "  days:\n    sql: select order_id from raw.orders\n  spenders:\n"), stale={"tables.days"}),
    edit("a source and its table added", ("tables:\n", "  shops:\n    kind: csv\n    path: data/shops.csv\n    columns: {shop: varchar}\n    key: [shop]\n\ntables:\n  shop_names: {sql: select shop from raw.shops}\n"), stale={"raw.shops", "tables.shop_names"}),
    edit("a prediction added waits", ("predictions:\n", "predictions:\n  again: {model: returns}\n"), told={"predictions.again"}),
    edit("a table gone", (SHOP[SHOP.index("  spenders:"):SHOP.index("feature_sets:")], "\n"), told={"tables.spenders"}, breaking={"tables.spenders"}),
    edit("a table renamed", ("spenders:", "buyers:"), stale={"tables.buyers"}, told={"tables.spenders"}, breaking={"tables.spenders"}),
    edit("a model renamed, whose predictions wait for its first version", ("  returns:\n    kind: xgboost", "  comebacks:\n    kind: xgboost"), ("model: returns", "model: comebacks"), told={MODEL, "models.comebacks"} | SCORED, breaking={MODEL}),
    edit("a prediction renamed, for which its readers wait", ("  order_returns: {model", "  order_comebacks: {model"), ("predictions.order_returns", "predictions.order_comebacks"), ("prediction: order_returns", "prediction: order_comebacks"), stale={"outputs.returns_views"}, told={"predictions.order_returns", "predictions.order_comebacks", "outputs.returns_file", "outputs.returns_report", "monitoring.returns_drift", "monitoring.returns_performance", "reactions.call_customers"}, breaking={"predictions.order_returns", "outputs.returns_file", "outputs.returns_views"}),
    edit("a source's key in another type, which its readers carry along", ("order_id: bigint", "order_id: varchar"), stale=BELOW_ORDERS, breaking={"raw.orders", FEATURES, "predictions.order_returns", "predictions.pinned"}),
    edit("a kept column of another type", ("channel: varchar", "channel: integer"), ("and channel = 'web'", "and channel = 1"), stale=BELOW_ORDERS, breaking={"raw.orders", "predictions.order_returns"}),
    edit("an output gone", ("  returns_file: {kind: csv, table: predictions.order_returns}\n", ""), told={"outputs.returns_file"}, breaking={"outputs.returns_file"}),
    edit("both a policy and a seed", ("seed: 7", "seed: 8"), ("cooldown: 20 days", "cooldown: 30 days"), stale=BELOW_MODEL),
    edit("the weather's tolerance", ("within: 6 hours", "within: 7 hours"), stale=BELOW_FLIGHT_FEATURES, book=FLIGHTS),
    edit("an airport's type", ("alt: integer", "alt: bigint"), stale=BELOW_FLIGHT_FEATURES | {"raw.airports"}, breaking={"raw.airports"}, book=FLIGHTS),
    edit("the carriers, which only a report and views read", ("columns: {carrier: varchar, name: varchar}", "columns: {carrier: varchar, name: varchar, country: varchar}"), stale={"raw.airlines", "outputs.operations_report", "outputs.late_flights_views"}, book=FLIGHTS),
    edit("the flights' target", ("arr_delay > 30", "arr_delay > 45"), stale=BELOW_FLIGHT_MODEL, book=FLIGHTS),
    edit("the report's limit", ("limit 500", "limit 400"), stale={"outputs.operations_report"}, book=FLIGHTS),
    edit("the flights' kept columns", ("keep: [dest, tailnum]", "keep: [dest, tailnum, distance]"), stale={"predictions.late_flights"} | FLIGHT_OUTPUTS, book=FLIGHTS),
    edit("a derived column", ("scheduled_at: time_hour + to_minutes(minute)", "scheduled_at: time_hour + to_minutes(minute) + to_seconds(0)"), stale=BELOW_FLIGHT_FEATURES | {"raw.flights"}, book=FLIGHTS),
)  # fmt: skip
