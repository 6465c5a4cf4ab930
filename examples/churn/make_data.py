"""Writes the synthetic data of the churn example: `python make_data.py`, from a seeded generator.

Everything below `data/` is made up: customers, subscriptions, usage, tickets. Nothing is anybody's.

Customers hold one or more subscriptions, billed each month. Who uses a subscription less and less, or waits long for
an answer, is likelier to end it before the next bill; so is who pays much. After the price rise it is price that
drives people away.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_YEAR = 2023
PLANS = {"basic": 9.0, "team": 29.0, "enterprise": 79.0}
PRICE_RISE = 8
"""The month, counted from 0, from which on prices are higher."""
TICKETS_A_MONTH = 0.2
LITTLE_USE = 5
COUNTRIES = ("DE", "FR", "NO", "PL")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bills:
    """A month's bills, a row each: who, which of their subscriptions, when, for what, and if it was the last."""

    customer: npt.NDArray[np.int64]
    contract: npt.NDArray[np.int64]
    billed_at: list[datetime]
    plan: list[str]
    seats: npt.NDArray[np.int64]
    amount: Floats
    ended: npt.NDArray[np.bool_]

    def write(self, path: Path) -> None:
        """Write the bills as one Parquet file."""
        table = pa.table(
            {
                "customer": self.customer,
                "contract": self.contract,
                "billed at": pa.array(self.billed_at, pa.timestamp("us")),
                "plan": self.plan,
                "seats": self.seats,
                "amount": self.amount,
                "ended": self.ended,
            }
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)


def month_start(month: int) -> datetime:
    """Return the first moment of a month, counted from 0."""
    return datetime(FIRST_YEAR + month // 12, month % 12 + 1, 1)  # noqa: DTZ001  # UTC, as the book reads it


def make_data(folder: Path, *, months: int, customers: int, seed: int) -> None:
    """Write the example's files below ``folder``: the same arguments give the same files."""
    random = np.random.default_rng([seed, 0])
    subscriptions = [(customer, contract) for customer in range(customers) for contract in range(1 + customer % 3)]
    plans = random.choice(list(PLANS), len(subscriptions), p=[0.5, 0.35, 0.15])
    seats = 1 + random.poisson(4, len(subscriptions))
    habit = random.gamma(3.0, 4.0, len(subscriptions))
    usage: list[str] = []
    tickets: list[str] = []
    for month in range(months):
        draw = np.random.default_rng([seed, 1, month])
        habit = np.clip(habit * np.exp(draw.normal(-0.03, 0.35, len(habit))), 0.05, 80)
        waited = np.where(draw.random(len(habit)) < TICKETS_A_MONTH, draw.gamma(2.0, 14.0, len(habit)), 0.0)
        usage += [*usage_lines(draw, subscriptions, habit, month)]
        tickets += [*ticket_lines(draw, subscriptions, waited, month)]
        factor = 1.4 if month >= PRICE_RISE else 1.0
        price = np.array([PLANS[plan] for plan in plans]) * factor * (0.6 + 0.4 * seats)
        dear = 2.2 if month >= PRICE_RISE else 0.3
        pull = -3.4 + 1.1 * (habit < LITTLE_USE) + 0.045 * waited + dear * np.log(price / np.median(price))
        ended = draw.random(len(habit)) < 1 / (1 + np.exp(-pull))
        days = draw.integers(24, 28, len(habit))
        Bills(
            customer=np.array([customer for customer, _ in subscriptions]),
            contract=np.array([contract for _, contract in subscriptions]),
            billed_at=[month_start(month) + timedelta(days=int(day), hours=9) for day in days],
            plan=[str(plan) for plan in plans],
            seats=seats,
            amount=np.round(price, 2),
            ended=ended,
        ).write(folder / "bills" / f"{month_start(month):%Y-%m}.parquet")
        # Who leaves is followed by somebody new under the same contract, so that there is always somebody to lose.
        habit = np.where(ended, draw.gamma(3.0, 4.0, len(habit)), habit)
    write_lines(folder / "usage.ndjson", usage)
    write_lines(folder / "tickets.ndjson", tickets)
    people = [{"customer": number, "country": COUNTRIES[number % len(COUNTRIES)]} for number in range(customers)]
    (folder / "customers.json").write_text(json.dumps(people), encoding="utf-8")


def usage_lines(
    draw: np.random.Generator,
    subscriptions: Sequence[tuple[int, int]],
    habit: Floats,
    month: int,
) -> Iterator[str]:
    """Yield a line for each week and subscription: hours of use."""
    for week in range(3):
        at = month_start(month) + timedelta(days=7 * (week + 1))
        hours = np.round(draw.gamma(2.0, habit / 2), 2)
        for (customer, contract), spent in zip(subscriptions, hours, strict=True):
            yield json.dumps({"who": customer, "contract": contract, "weekEnd": at.isoformat(), "hours": spent})


def ticket_lines(
    draw: np.random.Generator,
    subscriptions: Sequence[tuple[int, int]],
    waited: Floats,
    month: int,
) -> Iterator[str]:
    """Yield a line for each support ticket, from when it was closed."""
    for (customer, contract), hours in zip(subscriptions, waited, strict=True):
        day = int(draw.integers(1, 23))
        if hours > 0:
            at = month_start(month) + timedelta(days=day)
            ticket = {"who": customer, "contract": contract, "closedAt": at.isoformat(), "hoursWaited": round(hours, 1)}
            yield json.dumps(ticket)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write newline-delimited JSON."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description="Write the synthetic data of the churn example.")
    parser.add_argument("--months", type=int, default=14, help="months of history (default: 14)")
    parser.add_argument("--customers", type=int, default=900, help="customers (default: 900)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another company (default: 1)")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "data", help="where to write")
    given = parser.parse_args()
    make_data(given.folder, months=given.months, customers=given.customers, seed=given.seed)
    print(f"synthetic data of {given.months} months and {given.customers} customers: {given.folder}")


if __name__ == "__main__":
    main()
