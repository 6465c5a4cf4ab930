"""Arrivals: what is due, in which order, and what follows from it."""

from collections import Counter

import pytest

from metaplatform.compute.policy.plans import RunPlan
from metaplatform_tests.compute.policy.books import PLAIN, SHOP, STACKED, book
from metaplatform_tests.compute.policy.world import World, at

DAYS = tuple(f"2024-01-{day:02}" for day in range(1, 6))
SHOP_BOOK, PLAIN_BOOK, STACKED_BOOK = book(SHOP), book(PLAIN), book(STACKED)
LATER = at("2024-03-01")


@pytest.fixture
def shop() -> World:
    return World(SHOP_BOOK)


def stocked(*days: str) -> World:
    """Return a shop whose every source has come, the days given included."""
    world = World(SHOP_BOOK).put("customers").put("prices").put("orders", *days).put("visits", *days)
    world.settle(LATER)
    return world


def test_nothing_is_planned_where_nothing_has_changed(shop: World) -> None:
    assert shop.plans(LATER) == ()
    assert stocked(*DAYS).plans(LATER) == ()


def test_a_partition_is_due_when_its_window_has_ended_and_not_a_microsecond_before(shop: World) -> None:
    shop.put("orders", "2024-01-02")
    assert not shop.plans(at("2024-01-02T23:59:59.999999"))
    assert [plan.partition for plan in shop.plans(at("2024-01-03"))] == ["2024-01-02"]


def test_a_partition_before_the_first_one_of_its_line_is_never_due(shop: World) -> None:
    assert not shop.put("orders", "2023-12-31").plans(LATER)


def test_text_that_is_no_partition_key_is_never_due(shop: World) -> None:
    assert not shop.put("orders", "None", "").plans(LATER)


def ranges(plans: list[RunPlan], ref: str) -> list[tuple[str, str]]:
    return [(plan.partition, plan.last) for plan in plans if ref in plan.refs]


def test_the_oldest_partition_goes_first_and_what_follows_it_goes_along(shop: World) -> None:
    shop.put("orders", *reversed(DAYS[:2]), *DAYS[3:])
    assert ranges(shop.settle(LATER), "raw.orders") == [(DAYS[0], DAYS[1]), (DAYS[3], DAYS[-1])]


def test_sources_of_one_partition_go_in_one_run(shop: World) -> None:
    (plan,) = shop.put("orders", DAYS[0]).put("visits", DAYS[0]).plans(LATER)
    assert {"raw.orders", "raw.visits"} <= set(plan.refs)


def test_a_source_without_partitions_goes_first_in_the_run_it_feeds(shop: World) -> None:
    (plan,) = shop.put("orders", DAYS[0]).put("visits", DAYS[0]).put("customers").plans(LATER)
    assert plan.refs.index("raw.customers") < plan.refs.index("features.order_features")
    assert plan.partition == DAYS[0]


def test_a_source_without_partitions_that_feeds_nothing_due_goes_alone(shop: World) -> None:
    stocked_shop = stocked(*DAYS).put("prices", content="B").put("budgets", "2024-01")
    plans = {plan.partition: plan.refs for plan in stocked_shop.plans(LATER)}
    assert plans[""] == ("raw.prices", "tables.totals")
    assert "raw.prices" not in plans["2024-01"]


def test_a_source_without_partitions_that_feeds_two_lines_goes_with_one_and_the_other_waits() -> None:
    days = SHOP.replace("from raw.orders where amount > 100", "from raw.orders, raw.prices")
    world = World(
        book(days.replace("raw.budgets b, raw.orders o", "raw.budgets b, raw.prices o").replace("sum(o.amount)", "1"))
    )
    world.put("prices").put("orders", DAYS[0]).put("budgets", "2023-12").settle(LATER)
    world.put("prices", content="B").put("orders", DAYS[1]).put("budgets", "2024-01")
    (plan,) = world.plans(LATER)
    assert {"raw.prices", "raw.orders"} <= set(plan.refs)
    assert [plan.partition for plan in world.settle(LATER)] == [DAYS[1], "2024-01"]


def test_features_wait_for_an_input_that_was_never_there(shop: World) -> None:
    (plan,) = shop.put("orders", DAYS[0]).plans(LATER)
    assert "features.order_features" not in plan.refs
    assert "tables.large_orders" in plan.refs


def test_features_that_waited_are_made_when_the_late_input_comes(shop: World) -> None:
    shop.put("orders", *DAYS).put("visits", *DAYS).settle(LATER)
    assert "features.order_features" not in shop.built
    shop.put("customers").settle(LATER)
    assert shop.built["features.order_features"] == set(DAYS)


def test_features_that_waited_are_made_oldest_first(shop: World) -> None:
    shop.put("orders", *DAYS).put("visits", *DAYS).settle(LATER)
    done = shop.put("customers").settle(LATER)
    assert ranges(done, "features.order_features") == [(DAYS[0], DAYS[-1])]


def test_a_partition_of_a_late_source_brings_the_features_of_its_partition_only(shop: World) -> None:
    shop.put("customers").put("orders", *DAYS[:2]).settle(LATER)
    done = shop.put("visits", DAYS[0]).settle(LATER)
    assert [plan.partition for plan in done if "features.order_features" in plan.refs] == [DAYS[0]]


def test_a_looked_up_source_without_rows_in_a_partition_holds_nothing_up_once_a_later_one_is_there(shop: World) -> None:
    shop.put("customers").put("orders", *DAYS[:2]).put("visits", DAYS[1]).settle(LATER)
    assert shop.built["features.order_features"] == set(DAYS[:2])


def test_a_new_table_in_the_book_is_made_for_the_history_that_is_there() -> None:
    world = stocked(*DAYS)
    del world.built["tables.large_orders"], world.built["tables.totals"]
    done = world.settle(LATER)
    assert ranges(done, "tables.large_orders") == [(DAYS[0], DAYS[-1])]
    assert world.built["tables.totals"] == {""}


def test_a_missing_table_that_follows_from_new_data_is_made_in_its_run_alone() -> None:
    world = stocked(*DAYS[:2])
    del world.built["tables.totals"]
    (plan,) = world.put("orders", DAYS[2]).plans(LATER)
    assert "tables.totals" in plan.refs


def test_data_that_is_due_goes_before_tables_to_catch_up_with() -> None:
    world = stocked(*DAYS[:3])
    world.built["tables.large_orders"].remove(DAYS[0])
    done = world.put("orders", DAYS[3]).settle(LATER)
    assert [plan.partition for plan in done] == [DAYS[3], DAYS[0]]


def test_catching_up_scores_no_history() -> None:
    world = stocked(*DAYS[:3])
    world.scorable.add("likely")
    world.built["features.order_features"].remove(DAYS[0])
    (plan,) = world.plans(LATER)
    assert plan.refs == ("features.order_features",)


def test_a_month_waits_for_the_days_within_it() -> None:
    world = stocked(DAYS[0]).put("budgets", "2024-01").put("orders", *DAYS)
    done = world.settle(at("2024-02-01"))
    assert [(plan.partition, plan.last) for plan in done] == [(DAYS[1], DAYS[-1]), ("2024-01", "")]


def test_a_month_before_the_first_days_is_ingested_at_once_and_its_table_made_behind_them(shop: World) -> None:
    shop.put("budgets", "2024-01").put("orders", *DAYS)
    done = [plan for plan in shop.settle(at("2024-02-01")) if "tables.budgets_used" in plan.refs]
    assert [plan.partition for plan in done] == ["2024-01"]
    assert shop.keys[-1] == done[0].key


def test_a_month_does_not_wait_for_days_behind_it(shop: World) -> None:
    shop.put("orders", "2024-01-01").settle(LATER)
    shop.put("budgets", "2023-12").put("orders", "2024-01-02")
    assert [plan.partition for plan in shop.settle(LATER)] == ["2023-12", "2024-01-02"]


def test_a_line_that_shares_nothing_with_a_due_one_does_not_wait() -> None:
    text = SHOP.replace("raw.budgets b, raw.orders o", "raw.budgets b, raw.prices o").replace("sum(o.amount)", "1")
    world = World(book(text)).put("prices").put("orders", *DAYS).put("budgets", "2024-01")
    assert {plan.partition for plan in world.plans(LATER)} == {DAYS[0], "2024-01"}


def test_content_that_has_changed_is_ingested_again_with_all_that_follows() -> None:
    world = stocked(*DAYS).put("orders", DAYS[1], content="B")
    (plan,) = world.plans(LATER)
    assert plan.partition == DAYS[1]
    assert {"raw.orders", "tables.large_orders", "features.order_features", "tables.totals"} <= set(plan.refs)


def test_content_that_comes_back_again_and_again_is_a_new_run_each_time() -> None:
    world = stocked(*DAYS)
    for content in "BABAB":
        world.put("orders", DAYS[0], content=content).put("customers", content=content).settle(LATER)
    assert max(Counter(world.keys).values()) == 1
    assert [found for name, key, found in world.ingested if (name, key) == ("orders", DAYS[0])] == list("ABABAB")


def test_a_partition_that_the_files_hold_no_row_of_any_more_is_emptied_once_with_all_that_follows() -> None:
    world = stocked(*DAYS)
    del world.held["orders", DAYS[0]]
    (plan,) = world.settle(LATER)
    assert plan.partition == DAYS[0]
    assert {"raw.orders", "tables.large_orders", "features.order_features", "tables.totals"} <= set(plan.refs)
    assert plan.reason == f"no row for {DAYS[0]} any more in raw.orders"


def test_rows_that_come_back_after_they_were_deleted_arrive_again() -> None:
    world = stocked(*DAYS)
    del world.held["orders", DAYS[0]]
    world.settle(LATER)
    (plan,) = world.put("orders", DAYS[0]).settle(LATER)
    assert plan.partition == DAYS[0]


def test_what_is_deleted_stays_where_the_source_says_so() -> None:
    kept = SHOP.replace("path: orders/*.csv", "path: orders/*.csv\n    deletes: keep")
    world = World(book(kept)).put("customers").put("prices").put("orders", *DAYS).put("visits", *DAYS)
    world.settle(LATER)
    del world.held["orders", DAYS[0]]
    assert world.plans(LATER) == ()


def test_a_partition_that_arrived_under_another_scheme_is_no_deletion() -> None:
    world = stocked(*DAYS)
    world.arrived["orders", "2024-01"] = "A"
    assert world.plans(LATER) == ()


def test_a_blocked_partition_holds_up_what_comes_after_it_on_its_road_and_nothing_else() -> None:
    world = stocked(*DAYS[:1]).put("orders", *DAYS[1:3]).put("visits", DAYS[1]).put("budgets", "2023-12")
    world.blocked["orders", DAYS[1]] = "99 of 100 rows are in quarantine"
    assert [plan.partition for plan in world.settle(LATER)] == ["2023-12"]
    world.blocked.clear()
    assert [plan.partition for plan in world.settle(LATER)] == list(DAYS[1:3])


def test_a_source_that_is_blocked_as_a_whole_is_not_ingested_and_the_others_go_on_without_its_news() -> None:
    world = stocked(*DAYS[:1]).put("customers", content="B").put("orders", DAYS[1]).put("visits", DAYS[1])
    world.blocked["customers", ""] = "9 of 10 rows are in quarantine"
    (plan,) = world.settle(LATER)
    assert "raw.customers" not in plan.refs
    assert "features.order_features" in plan.refs


def test_what_a_source_feeds_waits_while_it_is_read_and_the_rest_does_not() -> None:
    world = stocked(*DAYS[:1]).put("orders", DAYS[1]).put("visits", DAYS[1]).put("prices", content="B")
    world.reading.add("customers")
    assert [plan.refs for plan in world.plans(LATER)] == [("raw.prices", "tables.totals")]
    world.reading.clear()
    assert DAYS[1] in [plan.partition for plan in world.plans(LATER)]


def test_an_output_that_a_reaction_makes_never_follows_by_itself() -> None:
    world = stocked()
    world.scorable.add("likely")
    done = world.put("orders", *DAYS).put("visits", *DAYS).settle(LATER)
    assert not any("outputs.alarm" in plan.refs or "outputs.alarm_copy" in plan.refs for plan in done)


def test_a_prediction_without_a_version_is_left_out_with_all_behind_it() -> None:
    world = stocked()
    done = world.put("orders", DAYS[0]).put("visits", DAYS[0]).settle(LATER)
    assert not {ref for plan in done for ref in plan.refs if ref.startswith(("predictions.", "outputs.likely"))}


def test_a_prediction_with_a_version_follows_with_its_outputs_and_its_drift_monitor() -> None:
    world = stocked()
    world.scorable.add("likely")
    (plan,) = world.put("orders", DAYS[0]).put("visits", DAYS[0]).plans(at("2024-01-02"))
    assert plan.refs[-3:] == ("outputs.likely_file", "outputs.everything", "outputs.likely_by_country")
    assert plan.monitors == ("likely_drift",)


def test_what_is_ordered_behind_a_monitor_or_a_file_is_made_all_the_same() -> None:
    assert "monitoring.likely_drift" in SHOP_BOOK.upstream("outputs.likely_by_country")
    world = stocked()
    world.scorable.add("likely")
    world.put("orders", *DAYS).put("visits", *DAYS).settle(LATER)
    assert world.built["outputs.likely_by_country"] == set(DAYS)


def test_a_partition_that_comes_with_mature_labels_is_judged_at_once() -> None:
    world = stocked()
    world.scorable.add("likely")
    (plan,) = world.put("orders", DAYS[0]).put("visits", DAYS[0]).plans(at("2024-01-04"))
    assert plan.monitors == ("likely_drift", "likely_performance")


def test_views_follow_whatever_they_show_though_the_rest_is_not_there(shop: World) -> None:
    (plan,) = shop.put("budgets", "2024-01").plans(LATER)
    assert plan.refs == ("raw.budgets", "outputs.everything")


def test_a_table_without_partitions_reads_partitioned_inputs_as_a_whole() -> None:
    world = stocked(*DAYS[:1]).put("orders", DAYS[1])
    (plan,) = world.plans(LATER)
    assert "tables.totals" in plan.refs


def test_a_book_without_partitions_scores_and_judges_in_one_run() -> None:
    world = World(PLAIN_BOOK, scorable={"priced"}).put("houses")
    (plan,) = world.plans(LATER)
    assert plan.partition == ""
    assert set(plan.refs) == {
        "raw.houses",
        "tables.by_rooms",
        "features.rooms",
        "predictions.priced",
        "tables.guessed",
        "outputs.priced_file",
    }
    assert plan.monitors == ("priced_drift", "priced_performance")


def test_predictions_that_feed_another_model_go_in_order_in_one_run() -> None:
    world = World(STACKED_BOOK, scorable={"lateness", "costs"}).put("trips", "2024-01")
    (plan,) = world.plans(LATER)
    order = ["features.distance", "predictions.lateness", "tables.risky", "features.risk", "predictions.costs"]
    assert [ref for ref in plan.refs if ref in order] == order


def test_features_behind_predictions_wait_until_those_have_a_version() -> None:
    world = World(STACKED_BOOK).put("trips", "2024-01")
    assert world.settle(LATER)[0].refs == ("raw.trips", "features.distance")


def test_nothing_is_planned_that_an_unfinished_run_touches(shop: World) -> None:
    shop.put("customers").put("orders", *DAYS).put("visits", *DAYS)
    shop.start(shop.plans(LATER))
    shop.put("orders", *DAYS, content="B")
    while shop.runs:
        assert not shop.plans(LATER)
        shop.step(0)
    assert not shop.plans(LATER), "what came before the run had read it is in it"
    assert shop.put("orders", *DAYS, content="C").plans(LATER)


def test_a_failed_arrival_is_asked_for_again_once_the_book_has_changed(shop: World) -> None:
    (before,) = shop.put("orders", DAYS[0]).plans(LATER)
    again = World(book(SHOP.replace("amount: double", "amount: 'decimal(9,2)'"))).put("orders", DAYS[0])
    (after,) = again.plans(LATER)
    assert before.key != after.key
    assert shop.plans(LATER) == (before,)


def test_a_description_changes_no_run_key(shop: World) -> None:
    (before,) = shop.put("orders", DAYS[0]).plans(LATER)
    told = World(book(SHOP.replace("  orders:\n", "  orders:\n    description: What was bought.\n")))
    assert told.put("orders", DAYS[0]).plans(LATER)[0].key == before.key
