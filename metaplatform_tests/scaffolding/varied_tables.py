"""Tables of many trades, made from seeds, of each of which a person knows the key and whether it is a stream."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

Rng = np.random.Generator
WORDS = (
    "north",
    "south",
    "east",
    "west",
    "old",
    "new",
    "green",
    "river",
    "hill",
    "stone",
    "bridge",
    "market",
    "castle",
)


@dataclass(frozen=True)
class Known:
    """What a person says of a table: its key, its event timestamp and grain if it is a stream."""

    make: Callable[[Rng], pd.DataFrame]
    key: tuple[str, ...]
    at: str | None = None
    every: str | None = None
    nulls: tuple[str, ...] = ()


def days(rng: Rng, first: str, last: str, rows: int) -> np.ndarray:
    return np.datetime64(first) + rng.integers(0, (np.datetime64(last) - np.datetime64(first)).astype(int), rows)


def clocks(rng: Rng, first: str, minutes: float, rows: int) -> pd.Series:
    """Moments in order, so many minutes apart on average."""
    steps = np.cumsum(rng.exponential(minutes * 60, rows)).astype("timedelta64[s]")
    return pd.Series(np.datetime64(first, "s") + steps)


def names(rng: Rng, rows: int) -> list[str]:
    return [f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.choice(WORDS)}".title() for _ in range(rows)]


def buildings(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "building": [f"B{n:03}" for n in range(64)],
            "address": names(rng, 64),
            "floors": rng.integers(1, 30, 64),
            "opened_at": days(rng, "1896-05-01", "2021-01-01", 64),
            "area": rng.gamma(5, 300, 64).round(1),
        }
    )


def patients(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_no": 10_000 + np.arange(1_500),
            "surname": [name.replace(" ", "") for name in names(rng, 1_500)],
            "sex": rng.choice(["f", "m"], 1_500),
            "dob": days(rng, "1931-01-01", "2015-01-01", 1_500),
            "postcode": [f"{n:05}" for n in rng.integers(1_000, 99_999, 1_500)],
        }
    )


def articles(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "title": names(rng, 240),
            "sku": [f"{rng.choice(['AX', 'BY'])}-{n}" for n in rng.permutation(9_000)[:240]],
            "category": rng.choice(["tools", "toys", "food"], 240),
            "price": rng.gamma(3, 9, 240).round(2),
            "launched_on": days(rng, "2016-01-01", "2023-01-01", 240),
        }
    )


def holidays(rng: Rng) -> pd.DataFrame:
    dates = sorted({*days(rng, "2015-01-01", "2024-12-31", 110)})
    return pd.DataFrame({"day": dates, "name": rng.choice(["Easter", "Labour Day", "Fair"], len(dates))})


def regional_holidays(rng: Rng) -> pd.DataFrame:
    dates = sorted({*days(rng, "2018-01-01", "2024-12-31", 70)})
    rows = [(date, state) for date in dates for state in ("BE", "BY", "HH", "SN", "NW") if rng.random() < 0.8]
    return pd.DataFrame(rows, columns=["date", "state"]).assign(school_free=True)


def terms_to_come(rng: Rng) -> pd.DataFrame:
    """A calendar that reaches years into the future."""
    today = np.datetime64(datetime.now(UTC).date())
    return pd.DataFrame({"date": today - 400 + np.arange(1_500), "week_type": rng.choice(["A", "B"], 1_500)})


def accounts(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account_id": np.arange(1, 1_201),
            "email": [f"user{n}@mail.test" for n in rng.permutation(1_200)],
            "full_name": names(rng, 1_200),
            "country": rng.choice(["DE", "NA", "FR"], 1_200),
            "created_at": clocks(rng, "2020-01-01", 1_500, 1_200),
        }
    )


def staff(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "employee": [f"E{n}" for n in rng.permutation(900)[:310]],
            "name": names(rng, 310),
            "hired": days(rng, "1994-01-01", "2023-06-01", 310),
            "born": days(rng, "1955-01-01", "2003-01-01", 310),
            "salary": rng.integers(30_000, 90_000, 310),
        }
    )


def machines(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "serial": [f"SN{n:06}" for n in rng.permutation(99_999)[:90]],
            "model": rng.choice(["m1", "m2"], 90),
            "commissioned": days(rng, "2009-01-01", "2022-01-01", 90),
        }
    )


def orders(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order_id": np.arange(5_001, 7_001),
            "customer": rng.integers(1, 300, 2_000),
            "ordered_at": (at := clocks(rng, "2023-01-05", 240, 2_000)),
            "shipped_at": at + pd.to_timedelta(rng.integers(1, 90, 2_000), "h"),
            "amount": rng.gamma(3, 9, 2_000).round(2),
        }
    )


def dated_sales(rng: Rng) -> pd.DataFrame:
    """Sales by day alone, in no order, with the buyer's birthday beside."""
    return pd.DataFrame(
        {
            "receipt": rng.permutation(900_000)[:800],
            "buyer_birthday": days(rng, "1940-01-01", "2005-01-01", 800),
            "sold_on": days(rng, "2023-01-01", "2023-12-31", 800),
            "amount": rng.gamma(3, 9, 800).round(2),
        }
    )


def readings(rng: Rng) -> pd.DataFrame:
    moments = pd.date_range("2024-03-01", periods=400, freq="15min")
    frame = pd.DataFrame([(at, sensor) for at in moments for sensor in ("s1", "s2", "s3")], columns=["ts", "sensor"])
    rows = len(frame)
    return frame.assign(temperature=rng.normal(20, 3, rows).round(2), humidity=rng.integers(30, 90, rows))


def jittered(rng: Rng) -> pd.DataFrame:
    """Readings whose moments never coincide, by chance."""
    at = clocks(rng, "2024-03-01", 3, 3_000) + pd.to_timedelta(np.arange(3_000) * 7 % 1_000, "ms")
    return pd.DataFrame(
        {"device": rng.choice(["d1", "d2", "d3", "d4"], 3_000), "at": at, "volts": rng.normal(230, 2, 3_000).round(3)}
    )


def store_days(rng: Rng) -> pd.DataFrame:
    dates = pd.date_range("2022-01-01", periods=500)
    frame = pd.DataFrame([(shop, at) for shop in range(1, 7) for at in dates], columns=["store", "date"])
    return frame.assign(visitors=rng.poisson(300, len(frame)), takings=rng.gamma(9, 300, len(frame)).round(2))


def short_store_days(rng: Rng) -> pd.DataFrame:
    """So few that a count names each row by chance."""
    dates = pd.date_range("2024-01-01", periods=12)
    frame = pd.DataFrame([(at, shop) for at in dates for shop in ("a", "b")], columns=["date", "store"])
    return frame.assign(visitors=rng.permutation(9_000)[: len(frame)])


def stocktakes(rng: Rng) -> pd.DataFrame:
    dates = ["2023-02-03", "2023-05-17", "2023-09-01", "2024-01-12"]
    rows = [(f"A{item}", date) for date in dates for item in range(150)]
    return pd.DataFrame(rows, columns=["item", "counted_on"]).assign(pieces=rng.poisson(40, len(rows)))


def weather(rng: Rng) -> pd.DataFrame:
    dates = pd.date_range("2021-01-01", periods=700)
    return pd.DataFrame({"date": dates, "rain": rng.gamma(1, 3, 700).round(1), "sun": rng.gamma(4, 2, 700).round(1)})


def quotes(rng: Rng) -> pd.DataFrame:
    """Rates of working days."""
    dates = pd.bdate_range("2020-01-01", periods=900)
    return pd.DataFrame({"day": dates, "usd": rng.normal(1.1, 0.05, 900).round(5)})


def indices(rng: Rng) -> pd.DataFrame:
    months = pd.date_range("1991-01-01", periods=380, freq="MS")
    return pd.DataFrame({"month": months, "cpi": (100 + np.arange(380) * 0.2).round(2)})


def price_changes(rng: Rng) -> pd.DataFrame:
    """Each product's price from a day on: known by product and day."""
    rows = {(f"P{rng.integers(0, 80):02}", day) for day in days(rng, "2022-01-01", "2023-12-31", 700)}
    frame = pd.DataFrame(sorted(rows, key=lambda row: row[1]), columns=["product", "valid_from"])
    return frame.assign(price=rng.gamma(3, 9, len(frame)).round(2))


def clicks(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event": [f"{n:08x}" for n in rng.permutation(2**20)[:3_000]],
            "visitor": rng.integers(1, 500, 3_000),
            "page": rng.choice(["/", "/cart", "/pay"], 3_000),
            "time": clocks(rng, "2024-05-01", 9, 3_000),
        }
    )


def tickets(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ticket": np.arange(700, 1_500),
            "opened": clocks(rng, "2023-02-01", 600, 800),
            "subject": [f"{a} does not work with {b}" for a, b in zip(names(rng, 800), names(rng, 800), strict=True)],
            "priority": rng.choice(["low", "high"], 800),
        }
    )


def quakes(rng: Rng) -> pd.DataFrame:
    """Rare events of many years: too few for partitions."""
    at = clocks(rng, "1961-01-01", 150_000, 190)
    return pd.DataFrame({"id": [f"q{n}" for n in range(190)], "at": at, "magnitude": rng.gamma(9, 0.6, 190).round(1)})


def loads(rng: Rng) -> pd.DataFrame:
    """Payments that were all exported at one moment."""
    return pd.DataFrame(
        {
            "exported_at": "2024-06-30 23:10:00",
            "payment": [f"PAY-{n}" for n in rng.permutation(90_000)[:1_000]],
            "paid": days(rng, "2024-01-01", "2024-06-30", 1_000),
            "eur": rng.gamma(3, 9, 1_000).round(2),
        }
    )


def bookings(rng: Rng) -> pd.DataFrame:
    """What is booked lies ahead of the booking, some of it in the future."""
    now = np.datetime64(datetime.now(UTC).replace(tzinfo=None) - timedelta(days=200), "s")
    at = clocks(rng, str(now), 280, 1_000)
    stay = (at + pd.to_timedelta(rng.integers(1, 400, 1_000), "D")).dt.date
    return pd.DataFrame({"booking": np.arange(1_000), "stay": stay, "made": at, "nights": rng.integers(1, 9, 1_000)})


def taxi_days(rng: Rng) -> pd.DataFrame:
    """Days without separators, marks for nothing beside numbers, and a code that looks like such a mark."""
    rows = [(f"{at:%Y%m%d}", area) for at in pd.date_range("2023-01-01", periods=300) for area in ("NA", "SA", "EU")]
    fares = [f"{value:.2f}" if rng.random() < 0.9 else "-" for value in rng.gamma(3, 9, len(rows))]
    trips = [str(value) if rng.random() < 0.9 else "\\N" for value in rng.poisson(900, len(rows))]
    return pd.DataFrame(rows, columns=["ymd", "area"]).assign(fare=fares, trips=trips)


def streets(_: Rng) -> pd.DataFrame:
    """No date at all, and a pair that names a row."""
    rows = [(city, f"{word} street") for city in ("Ulm", "Bonn", "Jena") for word in WORDS]
    return pd.DataFrame(rows, columns=["city", "street"]).assign(length=[n * 37 % 1_000 / 10 for n in range(len(rows))])


TABLES = {
    "buildings": Known(buildings, ("building",)),
    "patients": Known(patients, ("patient_no",)),
    "articles": Known(articles, ("sku",)),
    "holidays": Known(holidays, ("day",)),
    "regional_holidays": Known(regional_holidays, ("date", "state")),
    "terms_to_come": Known(terms_to_come, ("date",)),
    "accounts": Known(accounts, ("account_id",)),
    "staff": Known(staff, ("employee",)),
    "machines": Known(machines, ("serial",)),
    "streets": Known(streets, ("city", "street")),
    "orders": Known(orders, ("order_id",), "ordered_at", "month"),
    "dated_sales": Known(dated_sales, ("receipt",), "sold_on", "month"),
    "readings": Known(readings, ("ts", "sensor"), "ts", "day"),
    "jittered": Known(jittered, ("device", "at"), "at", "day"),
    "store_days": Known(store_days, ("store", "date"), "date", "month"),
    "short_store_days": Known(short_store_days, ("date", "store"), "date", "day"),
    "stocktakes": Known(stocktakes, ("item", "counted_on"), "counted_on", "month"),
    "weather": Known(weather, ("date",), "date", "month"),
    "quotes": Known(quotes, ("day",), "day", "month"),
    "indices": Known(indices, ("month",), "month", "month"),
    "price_changes": Known(price_changes, ("product", "valid_from"), "valid_from", "month"),
    "clicks": Known(clicks, ("event",), "time", "day"),
    "tickets": Known(tickets, ("ticket",), "opened", "month"),
    "quakes": Known(quakes, ("id",), "at"),
    "loads": Known(loads, ("payment",), "paid", "month"),
    "bookings": Known(bookings, ("booking",), "made", "month"),
    "taxi_days": Known(taxi_days, ("ymd", "area"), "ymd", "month", ("-", "\\N")),
}
