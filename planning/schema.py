"""The tables of the contract as data: columns, bounds, keys and links.

Reading, checking and documenting all follow from here; a new column is one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

Kind = Literal["text", "id", "folder", "choice", "int", "number", "timestamp", "date"]

Words = tuple[tuple[str, str], ...]  # theirs, and which of ours it means

MOST_MONEY = 1e12
MOST_UNITS = 1e9
MOST_MINUTES = 1e7  # 19 years
MOST_DAYS = 1e5  # 273 years


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what a cell must be, and whether it may be absent or empty.

    `id` is text that others refer to, `folder` an id that also names a folder.
    """

    name: str
    kind: Kind
    required: bool = True
    low: float | None = None  # least allowed value
    above: float | None = None  # the value must exceed this
    high: float | None = None  # greatest allowed value
    choices: tuple[str, ...] = ()
    words: Words = ()  # of the file, which mean one of the choices
    offset: bool = False  # a timestamp must carry its UTC offset
    hint: str = ""  # what else to say of a cell that is no number

    @property
    def is_text(self) -> bool:
        """Whether a cell stays the text it is."""
        return self.kind in ("text", "id", "folder", "choice")


@dataclass(frozen=True, kw_only=True)
class Link:
    """Cells of `columns` must be listed in the columns of the same name of `table`."""

    columns: tuple[str, ...]
    table: str


@dataclass(frozen=True, kw_only=True)
class Later:
    """`column` must not lie before `than` (`strictly`: must lie after it)."""

    column: str
    than: str
    strictly: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table. Rows with equal `key` are the same thing twice; no key: every row counts."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    required: bool = True  # needs at least one row
    links: tuple[Link, ...] = ()
    later: tuple[Later, ...] = ()
    default: str | None = None  # file name when the configuration names none

    def __getitem__(self, name: str) -> Column:
        """Return the column called `name`."""
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in the contract's order."""
        return tuple(column.name for column in self.columns)

    def spoken(self, words: Mapping[str, Words]) -> Table:
        """Return the table as a file has it that uses words of its own; `words` by column."""
        columns = tuple(replace(c, words=words.get(c.name, c.words)) for c in self.columns)
        return replace(self, columns=columns)


def _text(name: str, *, required: bool = True) -> Column:
    return Column(name=name, kind="text", required=required)


def _choice(name: str, *choices: str, required: bool = True) -> Column:
    return Column(name=name, kind="choice", choices=choices, required=required)


def _stamp(name: str, *, required: bool = True, offset: bool = False) -> Column:
    return Column(name=name, kind="timestamp", required=required, offset=offset)


def _money(name: str, *, required: bool = True) -> Column:
    return Column(name=name, kind="number", low=0, high=MOST_MONEY, required=required)


def _units(name: str, low: int, *, required: bool = True) -> Column:
    return Column(name=name, kind="int", low=low, high=MOST_UNITS, required=required)


def _share(name: str, *, required: bool = True) -> Column:
    return Column(name=name, kind="number", low=0, high=1, required=required)


_PRODUCT = Link(columns=("product_id",), table="products")
_SUPPLIER = Link(columns=("supplier_id",), table="suppliers")
_OFFER = Link(columns=("supplier_id", "product_id"), table="offers")

PRODUCTS = Table(
    name="products",
    key=("product_id",),
    columns=(
        Column(name="product_id", kind="id"),
        _text("name"),
        _text("category"),
        _choice("fulfilment", "code", "direct"),
        _money("list_price", required=False),
        Column(name="shelf_life_days", kind="number", above=0, high=MOST_DAYS, required=False),
        _stamp("launched_at", required=False),
        _text("similar_to", required=False),
    ),
)
SUPPLIERS = Table(
    name="suppliers",
    key=("supplier_id",),
    columns=(
        Column(name="supplier_id", kind="folder"),
        _text("name"),
        _text("licence_no", required=False),
        Column(name="licence_valid_until", kind="date", required=False),
        _share("max_share", required=False),
        _money("credit_limit", required=False),
        _units("spot_channels", 1),
    ),
)
OFFERS = Table(
    name="offers",
    key=("supplier_id", "product_id"),
    links=(_SUPPLIER, _PRODUCT),
    columns=(
        _text("supplier_id"),
        _text("product_id"),
        _money("unit_cost"),
        _money("spot_unit_cost"),
        _units("min_order_qty", 1),
        _units("pack_size", 1),
        Column(name="lead_time_minutes", kind="number", low=0, high=MOST_MINUTES),
        _units("max_units", 0, required=False),
        _units("max_units_per_hour", 0, required=False),
        Column(name="fill_rate", kind="number", above=0, high=1),
        Column(name="spot_minutes", kind="number", above=0, high=MOST_MINUTES),
        _share("loss_rate_if_unused"),
    ),
)
PRICE_TIERS = Table(
    name="price_tiers",
    required=False,
    default="price_tiers.csv",
    key=("supplier_id", "product_id", "min_qty"),
    links=(_OFFER,),
    columns=(
        _text("supplier_id"),
        _text("product_id"),
        _units("min_qty", 1),
        _money("unit_cost"),
    ),
)
STOCK = Table(
    name="stock",
    required=False,
    default="stock.csv",
    links=(_PRODUCT,),  # not the supplier: stock stays usable whatever became of it
    columns=(
        _text("product_id"),
        _text("supplier_id"),
        _units("units", 0),
        _stamp("expires_at", required=False),
    ),
)
EVENTS = Table(
    name="events",
    required=False,
    default="events.csv",
    key=("name", "kind", "starts_at", "ends_at", "product_id", "category"),
    links=(_PRODUCT,),
    later=(Later(column="ends_at", than="starts_at", strictly=True),),
    columns=(
        _text("name"),
        _choice("kind", "promotion", "release", "holiday", "outage"),
        _stamp("starts_at"),
        _stamp("ends_at"),
        _text("product_id", required=False),
        _text("category", required=False),
    ),
)
ORDERS = Table(
    name="orders",
    key=("order_id",),
    links=(_PRODUCT,),
    later=(Later(column="delivered_at", than="ordered_at"),),
    columns=(
        _text("order_id"),
        _text("product_id"),
        _stamp("ordered_at"),
        _units("quantity", 1),
        _choice("status", "delivered", "failed", "cancelled", "refunded", "pending"),
        _stamp("delivered_at", required=False),
        _text("supplier_id", required=False),
        _choice("segment", "individual", "distributor", "enterprise", required=False),
        _text("account_id", required=False),
        _money("unit_price", required=False),
    ),
)

# In reading order: a table comes after those that it links to.
TABLES = MappingProxyType(
    {
        table.name: table
        for table in (PRODUCTS, SUPPLIERS, OFFERS, PRICE_TIERS, STOCK, EVENTS, ORDERS)
    }
)

PLAN = Table(
    name="plan",
    required=False,  # an empty plan buys nothing ahead
    key=("line_id",),
    later=(
        Later(column="available_from", than="order_by"),
        Later(column="available_to", than="available_from", strictly=True),
    ),
    columns=(
        _text("line_id"),
        _text("supplier_id"),
        _text("product_id"),
        _stamp("order_by", offset=True),
        _stamp("available_from", offset=True),
        _stamp("available_to", offset=True),
        _units("units", 1),
        _money("unit_cost"),
        _text("reason", required=False),
    ),
)

# What a supplier sends back: a request that it was sent, two of its columns filled in.
SENT_ALONG = (
    "product_name",
    "order_by",
    "available_from",
    "available_to",
    "unit_cost",
    "amount",
    "reason",
)  # for people; what was asked stands in the ledger
ANSWER = Table(
    name="answer",
    key=("line_id",),
    columns=(
        _text("request"),
        _text("line_id"),
        _text("product_id"),
        _units("units", 1),
        replace(
            _units("confirmed_units", 0, required=False),
            hint="; 0 says that there is none to be had, an empty cell leaves the line open",
        ),
        _stamp("confirmed_from", required=False),
        *(_text(name, required=False) for name in SENT_ALONG),
    ),
)
