"""Writes the synthetic data of the retail example: `python make_data.py`, from a seeded generator.

Everything below `data/` is made up: products, suppliers, prices, sales, stock. Nothing is anybody's.

A shop sells a range of products. Demand follows the weekday, a slow drift of taste and promotions; buyers order by
rules of thumb, each product more or less carefully; suppliers deliver after some days, more or less on time. Shelves
that run empty are what comes of it: nothing says so beforehand, but stock, sales, orders under way and the promotion
calendar give hints. In the promotion season promotions pull more and suppliers are late: what was learnt no longer
holds.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

HORIZON = 5
"""Days ahead in which a product may run out."""
START = date(2024, 3, 1)
SEASON = (0.5, 0.9)
"""The promotion season, as shares of all days."""
WEEKDAYS = np.array([0.8, 0.8, 0.85, 1.0, 1.35, 1.6, 0.6])
CATEGORIES = ("bakery", "dairy", "drinks", "household", "snacks")
WORDS = (
    ("plain", "golden", "mild", "crisp", "fresh", "dark", "wild", "soft"),
    ("oat", "apple", "berry", "honey", "pepper", "almond", "lemon"),
)
SUPPLIERS = ("Aster Foods", "Borealis Trade", "Cedar Supply", "Dunmore Goods", "Elm and Sons", "Fjord Wholesale")
EARLIER_PROMOTIONS_DAYS = 12

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """So many units of a product, ordered and to come on these days."""

    product: int
    units: int
    ordered: int
    planned: int
    comes: int


@dataclass(frozen=True)
class Range:
    """What the shop sells: per product its supplier, mean demand a day, price, cost, pack, and the buyer's care."""

    supplier: Numbers
    demand: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    pack: Numbers
    care: npt.NDArray[np.float64]
    lead: Numbers
    reliability: npt.NDArray[np.float64]


@dataclass
class History:
    """What happened, as the lines of the files; ``stock`` holds each evening's count, by day and product."""

    sales: list[list[str]] = field(default_factory=list)
    counts: list[list[tuple[int, int, str]]] = field(default_factory=list)
    levels: list[list[str]] = field(default_factory=list)
    deliveries: list[list[str]] = field(default_factory=list)
    stock: list[Numbers] = field(default_factory=list)


def make_range(seed: int, products: int) -> Range:
    """Return a range of products, drawn from ``seed``."""
    random = np.random.default_rng([seed, 0])
    price = np.round(random.uniform(1.2, 18.0, products), 2)
    return Range(
        supplier=random.integers(0, len(SUPPLIERS), products),
        demand=random.gamma(3.0, 4.0, products) + 1.5,
        price=price,
        cost=np.round(price * random.uniform(0.5, 0.75, products), 2),
        pack=random.choice(np.array([6, 10, 12, 24]), products),
        care=random.uniform(0.75, 1.45, products),
        lead=np.array([2, 3, 4, 5, 6, 8]),
        reliability=np.array([0.9, 0.8, 0.75, 0.85, 0.6, 0.7]),
    )


def make_promotions(seed: int, products: int, days: int) -> list[tuple[int, int, int, float]]:
    """Return promotions as (product, first day, last day, discount); more of them in the season."""
    random = np.random.default_rng([seed, 1])
    found = []
    for day in range(0, days + HORIZON, 7):
        share = 0.3 if in_season(day, days) else 0.1
        for product in np.flatnonzero(random.random(products) < share):
            first = day + int(random.integers(0, 4))
            found.append((int(product), first, first + int(random.integers(3, 7)), float(random.choice([0.1, 0.2]))))
    return found


def in_season(day: int, days: int) -> bool:
    """Tell whether ``day`` lies in the promotion season."""
    return SEASON[0] * days <= day < SEASON[1] * days


def play(seed: int, goods: Range, promotions: Sequence[tuple[int, int, int, float]], days: int) -> History:
    """Let the days pass: sell, count, order, receive."""
    products = len(goods.demand)
    discounts = np.zeros((days + 2 * HORIZON + 14, products))
    for product, first, last, discount in promotions:
        discounts[first : last + 1, product] = discount
    history = History()
    stock = np.round(goods.demand * 9).astype(np.int64)
    orders: list[Order] = []
    taste = np.ones(products)
    expected = goods.demand.copy()
    for day in range(days):
        random = np.random.default_rng([seed, 2, day])
        taste = np.clip(taste * np.exp(random.normal(0, 0.03, products)), 0.4, 2.5)
        pull = (14.0 if in_season(day, days) else 6.0) * discounts[day]
        wanted = random.poisson(goods.demand * taste * WEEKDAYS[(START + timedelta(days=day)).weekday()] * (1 + pull))
        sold = np.minimum(wanted, stock)
        stock = stock - sold
        expected = 0.93 * expected + 0.07 * sold
        orders += place_orders(random, goods, day, days, stock=stock, orders=orders, expected=expected)
        history.sales.append(list(sales_lines(goods, day, sold, discounts[day])))
        history.counts.append(list(count_lines(stock, orders)))
        history.stock.append(stock)
        arrived = [order for order in orders if order.comes <= day]
        orders = [order for order in orders if order.comes > day]
        stock = stock + np.bincount(
            [order.product for order in arrived], weights=[order.units for order in arrived], minlength=products
        ).astype(np.int64)
        history.deliveries.append([delivery_line(goods, order, day) for order in arrived])
        history.levels.append(
            [f"{code(product)},{moment(day, '23:30')},{stock[product]}" for product in range(products)]
        )
    return history


def place_orders(
    random: np.random.Generator,
    goods: Range,
    day: int,
    days: int,
    *,
    stock: Numbers,
    orders: Sequence[Order],
    expected: npt.NDArray[np.float64],
) -> Iterator[Order]:
    """Yield what the buyers order in the evening: by their own idea of demand, whatever is promoted."""
    under_way = np.zeros(len(stock))
    for order in orders:
        under_way[order.product] += order.units
    for product in range(len(stock)):
        # Drawn for every product, so that no product's luck depends on another's stock.
        late, patience = random.random(2)
        supplier = goods.supplier[product]
        lead = int(goods.lead[supplier])
        reach = expected[product] * (lead + 1.5) * goods.care[product]
        if stock[product] + under_way[product] >= reach:
            continue
        units = int(np.ceil(expected[product] * (lead + 5) / goods.pack[product]) * goods.pack[product])
        reliability = goods.reliability[supplier] * (0.45 if in_season(day, days) else 1.0)
        delay = 0 if late < reliability else 1 + int(patience * (6 if in_season(day, days) else 3))
        yield Order(product, units, day, day + lead, day + lead + delay)


def sales_lines(goods: Range, day: int, sold: Numbers, discounts: npt.NDArray[np.float64]) -> Iterator[str]:
    """Yield the day's sales by product."""
    for product, units in enumerate(sold):
        price = goods.price[product] * (1 - discounts[product])
        yield f"{code(product)},{calendar(day)},{units},{price:.2f},{str(bool(discounts[product])).lower()}"


def count_lines(stock: Numbers, orders: Sequence[Order]) -> Iterator[tuple[int, int, str]]:
    """Yield each product's evening count: the product, its units, and what else its line says."""
    for product, units in enumerate(stock):
        mine = [order for order in orders if order.product == product]
        planned = min((order.planned for order in mine), default=None)
        text = "" if planned is None else calendar(planned)
        yield product, int(units), f"{sum(order.units for order in mine)},{text}"


def delivery_line(goods: Range, order: Order, day: int) -> str:
    """Return a delivery, put on the shelf late in the evening."""
    supplier = f"s{goods.supplier[order.product] + 1}"
    return f"{code(order.product)},{supplier},{calendar(order.ordered)},{moment(day, '23:00')},{order.units}"


def inventory_lines(history: History, day: int, written: int) -> Iterator[str]:
    """Yield the day's stock sheet: `ran_out` is filled in once the days that it is about have been counted."""
    later = history.stock[day + 1 : day + 1 + HORIZON]
    known = day + HORIZON < written
    for product, units, orders in history.counts[day]:
        ran_out = str(any(count[product] == 0 for count in later)).lower() if known else ""
        yield f"{code(product)},{moment(day, '22:00')},{units},{orders},{ran_out}"


def code(product: int) -> str:
    """Return a product's code."""
    return f"p{product + 1:03}"


def calendar(day: int) -> str:
    """Return the date of a day's number."""
    return (START + timedelta(days=day)).isoformat()


def moment(day: int, clock: str) -> str:
    """Return a moment of a day, UTC."""
    return f"{calendar(day)} {clock}:00"


def term_lines(goods: Range, days: int) -> Iterator[str]:
    """Yield what suppliers promise: from a year ago, and again when the season has begun."""
    for supplier, lead in enumerate(goods.lead):
        yield f"s{supplier + 1},2023-03-01 08:00:00,{lead},{0.01 * supplier:.2f}"
    begun = int(SEASON[0] * days) + 7
    for supplier, lead in enumerate(goods.lead):
        yield f"s{supplier + 1},{moment(begun, '08:00')},{lead + 2},{0.01 * supplier:.2f}"


def product_lines(goods: Range, seed: int) -> Iterator[str]:
    """Yield the range."""
    random = np.random.default_rng([seed, 3])
    for product in range(len(goods.demand)):
        name = " ".join(random.choice(words) for words in WORDS)
        category = CATEGORIES[int(random.integers(0, len(CATEGORIES)))]
        supplier = f"s{goods.supplier[product] + 1}"
        numbers = f"{goods.price[product]:.2f},{goods.cost[product]:.2f},{goods.pack[product]}"
        yield f"{code(product)},{name} {category},{category},{supplier},{numbers}"


def promotion_lines(promotions: Sequence[tuple[int, int, int, float]], written: int) -> Iterator[str]:
    """Yield the promotions announced so far; each is announced some days ahead."""
    for product, first, last, discount in promotions:
        announced = first - EARLIER_PROMOTIONS_DAYS
        if announced < written:
            yield f"{code(product)},{calendar(first)},{calendar(last)},{discount:.2f},{moment(announced, '09:00')}"


def write(path: Path, header: str, lines: Iterator[str] | Sequence[str]) -> None:
    """Write a file whole: who looks meanwhile sees the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arriving = path.with_suffix(".part")
    arriving.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    arriving.replace(path)


def make_data(folder: Path, *, days: int, products: int, seed: int, until: date | None = None) -> None:
    """Write the example's files below ``folder``, as they are on the morning of ``until`` (default: after all days).

    The same arguments give the same files; another ``until`` gives the same past.
    """
    written = days if until is None else max(0, min(days, (until - START).days))
    goods = make_range(seed, products)
    promotions = make_promotions(seed, products, days)
    history = play(seed, goods, promotions, days)
    for day in range(written):
        write(folder / "sales" / f"{calendar(day)}.csv", "product,sold_on,units,price,promoted", history.sales[day])
        header = "product,counted_at,on_hand,on_order,next_delivery_on,ran_out"
        write(folder / "inventory" / f"{calendar(day)}.csv", header, inventory_lines(history, day, written))
    past = slice(0, written)
    write(
        folder / "stock_levels.csv",
        "product,measured_at,on_hand",
        [line for day in history.levels[past] for line in day],
    )
    header = "product,supplier,ordered_on,delivered_at,units"
    write(folder / "deliveries.csv", header, [line for day in history.deliveries[past] for line in day])
    header = "product,starts_on,ends_on,discount,announced_at"
    write(folder / "promotions.csv", header, promotion_lines(promotions, written))
    header = "supplier,agreed_at,lead_time_days,discount"
    terms = [line for line in term_lines(goods, days) if line.split(",")[1] < moment(written, "00:00")]
    write(folder / "supplier_terms.csv", header, terms)
    names = [f"s{number + 1},{name}" for number, name in enumerate(SUPPLIERS)]
    write(folder / "suppliers.csv", "supplier,supplier_name", names)
    header = "product,product_name,category,supplier,price,unit_cost,pack_size"
    write(folder / "products.csv", header, product_lines(goods, seed))


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description="Write the synthetic data of the retail example.")
    parser.add_argument("--days", type=int, default=56, help="days of history (default: 56)")
    parser.add_argument("--products", type=int, default=100, help="products of the range (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another shop (default: 1)")
    parser.add_argument("--until", type=date.fromisoformat, help="the morning to stop at, as in 2024-05-01")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "data", help="where to write")
    given = parser.parse_args()
    make_data(given.folder, days=given.days, products=given.products, seed=given.seed, until=given.until)
    print(f"synthetic data of {given.days} days and {given.products} products: {given.folder}")


if __name__ == "__main__":
    main()
