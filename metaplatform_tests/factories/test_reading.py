"""Sources are looked at in ticks and read in runs: nothing is lost, half read, or acted upon that does not fit."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from metaplatform.errors import MetaplatformError
from metaplatform.execution import RunFailedError
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.factories.contracts import contract_key
from metaplatform.factories.mount import STANDALONE
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.specs.records.ledger import Arrival
from metaplatform.work import staged_files, staging
from metaplatform.work.approvals import Held, approve, held_back
from metaplatform.work.staging import SourceChangedError, read_source
from metaplatform_tests.factories.live_loop import BOOK, LiveLoop

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[LiveLoop]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield LiveLoop(tmp_path, instance)


def test_a_tick_asks_for_a_reading_and_takes_no_longer_for_a_large_source(loop: LiveLoop) -> None:
    first = loop.write("orders/0.csv", "id,at,amount", *["1,2024-01-02 10:00:00,1.5"] * 20_000)
    for number in range(1, 2_000):
        (first.parent / f"{number}.csv").hardlink_to(first)
    assert sum(path.stat().st_size for path in first.parent.iterdir()) > 1_000_000_000
    loop.prices()
    loop.tick()  # what is imported once
    started = time.process_time()
    requests = loop.tick().run_requests
    assert time.process_time() - started < 2
    asked = [key for request in requests for key in request.asset_check_keys]
    assert asked == [contract_key("orders"), contract_key("prices")]
    assert not (loop.folder / "storage" / "warehouse").exists()


def test_files_are_read_once_they_have_settled_and_the_others_do_not_wait(loop: LiveLoop) -> None:
    loop.write_book(BOOK.replace("path: data/orders/*.csv", "path: data/orders/*.csv\n    settle: 10 minutes"))
    loop.orders(DAYS[0], 1, 2, age=1)
    loop.prices()
    tick = loop.tick()
    assert [request.asset_check_keys for request in tick.run_requests] == [[contract_key("prices")]]
    assert loop.settle()
    assert "raw.orders: files changed at" in loop.tick().skip_message
    loop.orders(DAYS[0], 1, 2, age=601)
    assert loop.settle() == [
        "raw.orders: files are read for the first time",
        f"new data for {DAYS[0]} in raw.orders",
    ]


def test_a_file_that_is_written_to_while_it_is_read_is_not_taken_by_half(
    loop: LiveLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.prices()
    loop.orders(DAYS[0], 1, 2)
    loop.settle()
    path = loop.orders(DAYS[0], 1, 2, 3)
    check_sums = staging.check_sums
    read = staged_files.conform

    def while_it_is_read(*arguments: object, **named: object) -> object:
        loop.orders(DAYS[0], 1, 2, 3, 4)
        return read(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(staged_files, "conform", while_it_is_read)
    source = loop.manifest.sources["orders"]
    with loop.warehouse.session() as session, pytest.raises(SourceChangedError):
        read_source(session, loop.manifest, source, loop.warehouse, arrived=datetime.now(UTC))
    assert path.exists()
    assert len(loop.rows("raw.orders__staged")) == 2, "what was staged before is left in place"
    monkeypatch.setattr(staged_files, "conform", read)
    assert staging.check_sums is check_sums
    assert loop.settle() == ["raw.orders: new or changed files", f"new data for {DAYS[0]} in raw.orders"]
    assert loop.counts("raw.orders") == {DAYS[0]: 4}


def test_every_row_read_is_stored_or_quarantined_with_its_reason_and_told(loop: LiveLoop) -> None:
    loop.prices()
    tomorrow, far = datetime.now(UTC) + timedelta(hours=20), datetime.now(UTC) + timedelta(days=3)
    loop.write(
        "orders/all.csv",
        "id,at,amount",
        *(f"{number},2024-01-01 00:00:00,1" for number in range(50)),
        "100,2023-12-31 23:59:59,1",
        f"101,{tomorrow:%Y-%m-%d %H:%M:%S},1",
        f"102,{far:%Y-%m-%d %H:%M:%S},1",
        "103,2024-01-01 10:00:00,47.16 EUR",
        "104,2024-01-01 10:00:00,1,too many",
    )
    loop.settle()
    told = {name: value.value for name, value in loop.contract("orders").metadata.items()}
    assert (told["rows_read"], told["rows_stored"], told["quarantined_rows"], told["rejected_lines"]) == (54, 51, 3, 1)
    assert len(loop.rows("raw.orders__staged")) == 51
    reasons = {row["id"]: row["_reason"] for row in loop.rows("raw.orders__quarantine")}
    assert reasons["100"] == "event timestamp at: '2023-12-31 23:59:59' lies before the first partition, 2024-01-01"
    assert reasons["102"].endswith("lies more than 1 day ahead of its arrival")
    assert reasons["103"].startswith("amount: '47.16 EUR'")
    assert len(loop.rows("raw.orders__quarantine_lines")) == 1
    arrived = loop.instance.get_latest_materialization_event(STANDALONE.key("raw.orders"))
    assert arrived is not None
    assert arrived.asset_materialization is not None
    assert arrived.asset_materialization.metadata["quarantined_rows"].value == 3


def test_rows_that_vanish_between_reading_and_storing_fail_the_load() -> None:
    with pytest.raises(MetaplatformError, match="3 rows were read, 1 stored and 1 quarantined"):
        staging.check_sums("raw.orders", read=3, stored=1, quarantined=1)


def test_a_partition_with_too_much_in_quarantine_is_not_made_until_better_rows_come(loop: LiveLoop) -> None:
    loop.prices()
    loop.orders(DAYS[0], *range(10))
    loop.orders(DAYS[1], 1, *["47.16 EUR"] * 99)
    loop.orders(DAYS[2], *range(10))
    assert loop.reasons_until_told()[-1] == f"new data for {DAYS[0]} in raw.orders"
    assert loop.counts("tables.daily") == {DAYS[0]: 10}
    verdict = loop.contract("orders")
    assert not verdict.passed
    assert verdict.blocking
    assert (
        verdict.description == f"99 of 100 rows of {DAYS[1]} are in quarantine: more than the share of 0.1 that may be"
    )
    assert "99 of 100 rows" in loop.tick().skip_message, "a tick has failed, and the same is not told at every one"
    by_hand = dg.RunRequest(
        asset_selection=[STANDALONE.key("raw.orders")], partition_key=DAYS[1], tags={REASON_TAG: "try"}
    )
    with pytest.raises(RunFailedError, match=r"metaplatform approve raw\.orders"):
        loop.run(by_hand)
    loop.orders(DAYS[1], 1, *["47.16"] * 99)
    assert held_back(loop.manifest, loop.warehouse), "until they are read"
    assert loop.settle()[-1] == f"new data for {DAYS[1]} to {DAYS[2]} in raw.orders"
    assert loop.counts("tables.daily") == {DAYS[0]: 10, DAYS[1]: 100, DAYS[2]: 10}
    assert loop.contract("orders").passed


def test_a_person_may_let_a_finding_pass_and_the_next_one_is_held_back_again(loop: LiveLoop) -> None:
    loop.prices()
    loop.orders(DAYS[0], 1, "47.16 EUR")
    loop.reasons_until_told()
    with pytest.raises(MetaplatformError, match=r"did you mean 'raw\.orders'"):
        say(loop, "raw.order")
    with pytest.raises(MetaplatformError, match="nothing of it is held back in 2024-01-02"):
        say(loop, "raw.orders", DAYS[1])
    (held,) = say(loop, "raw.orders", DAYS[0])
    assert held.why == f"1 of 2 rows of {DAYS[0]} are in quarantine"
    assert loop.settle() == [f"new data for {DAYS[0]} in raw.orders"]
    assert loop.counts("tables.daily") == {DAYS[0]: 1}
    loop.orders(DAYS[0], 1, "47.16 EUR", "47.17 EUR")
    assert loop.reasons_until_told() == ["raw.orders: new or changed files"]
    assert loop.counts("tables.daily") == {DAYS[0]: 1}


def say(loop: LiveLoop, subject: str, partition: str | None = None) -> tuple[Held, ...]:
    now = datetime.now(UTC)
    return approve(loop.manifest, loop.warehouse, subject, partition, reason="a test", now=now)


def test_exports_that_overlap_are_held_back_by_no_copy_of_a_row_and_by_each_row_that_differs(loop: LiveLoop) -> None:
    loop.prices()
    rows = [f"{number},{DAYS[0]} 10:00:00,1" for number in range(8)]
    for name in "abc":
        loop.write(f"orders/{name}.csv", "id,at,amount", *rows)
    assert loop.settle()[-1] == f"new data for {DAYS[0]} in raw.orders"
    assert [row["_copy"] for row in loop.rows("raw.orders__quarantine")] == [True] * 16
    loop.write("orders/c.csv", "id,at,amount", *(row.replace(",1", ",2") for row in rows))
    loop.reasons_until_told()
    assert loop.contract("orders").description == (
        f"8 of 16 rows of {DAYS[0]} are in quarantine: more than the share of 0.1 that may be"
    )


def test_rows_whose_partition_cannot_be_told_hold_back_the_source_as_a_whole(loop: LiveLoop) -> None:
    loop.prices()
    loop.write("orders/all.csv", "id,at,amount", *(f"{n},soon,1" for n in range(3)), "9,2024-01-01 10:00:00,1")
    assert "new data for" not in str(loop.reasons_until_told())
    assert loop.contract("orders").description == (
        "3 of 4 rows are in quarantine: more than the share of 0.1 that may be"
    )


def test_a_file_that_is_deleted_empties_its_partition_and_what_follows_from_it(loop: LiveLoop) -> None:
    loop.prices()
    paths = [loop.orders(day, 1, 2) for day in DAYS]
    loop.settle()
    assert loop.rows("tables.totals") == [{"orders": 6, "amount": 9.0}]
    paths[1].unlink()
    assert loop.settle() == ["raw.orders: new or changed files", f"no row for {DAYS[1]} any more in raw.orders"]
    assert loop.counts("raw.orders") == {DAYS[0]: 2, DAYS[1]: 0, DAYS[2]: 2}
    assert loop.counts("tables.daily") == {DAYS[0]: 2, DAYS[1]: 0, DAYS[2]: 2}
    assert loop.rows("tables.totals") == [{"orders": 4, "amount": 6.0}]
    assert loop.settle() == []


def test_rows_corrected_to_another_day_stand_once(loop: LiveLoop) -> None:
    loop.prices()
    for day in DAYS[:2]:
        loop.orders(day, 1, 2)
    loop.settle()
    path = loop.folder / "data" / "orders" / f"{DAYS[1]}.csv"
    text = path.read_text(encoding="utf-8").replace(f"{DAYS[1]} 10", f"{DAYS[0]} 11")
    loop.write(f"orders/{DAYS[1]}.csv", *text.splitlines())
    loop.settle()
    assert loop.counts("raw.orders") == {DAYS[0]: 4, DAYS[1]: 0}
    assert loop.rows("tables.totals") == [{"orders": 4, "amount": 6.0}]


def test_a_source_whose_files_are_gone_keeps_what_it_has_and_holds_up_no_other(loop: LiveLoop) -> None:
    loop.prices()
    loop.orders(DAYS[0], 1, 2).unlink()
    assert loop.reasons_until_told() == ["raw.prices: files are read for the first time", "new data in raw.prices"]
    assert "no file matches 'data/orders/*.csv'" in loop.tick().skip_message


def test_files_that_were_touched_are_read_and_nothing_follows(loop: LiveLoop) -> None:
    loop.prices()
    loop.orders(DAYS[0], 1, 2)
    loop.settle()
    loop.prices()
    (loop.folder / "data" / "prices.csv").touch()
    loop.prices()
    loop.orders(DAYS[0], 1, 2, age=50)
    assert loop.settle() == ["raw.orders: new or changed files", "raw.prices: new or changed files"]


def test_a_run_that_the_loop_planned_stores_what_it_has_looked_at(loop: LiveLoop) -> None:
    loop.prices()
    loop.orders(DAYS[0], 1, 2)
    for request in loop.tick().run_requests:
        loop.run(request)
    planned = loop.tick().run_requests
    loop.orders(DAYS[0], 1, 2, 3, age=0)
    for request in planned:
        loop.run(request)
    assert loop.counts("raw.orders") == {DAYS[0]: 2}
    kept = Ledger(loop.warehouse).read(Arrival, source="orders")
    contents = ContentRecords(loop.warehouse.root_path).read("orders")
    assert contents is not None
    assert [arrival.fingerprint for arrival in kept] == [contents.partitions[DAYS[0]].fingerprint]


def test_an_edited_contract_is_read_anew(loop: LiveLoop) -> None:
    loop.prices()
    loop.orders(DAYS[0], "1.0", "2.0")
    loop.settle()
    loop.write_book(BOOK.replace("amount: double}", "amount: 'decimal(9,2)'}"))
    assert loop.settle()[0] == "raw.orders: new or changed files"
