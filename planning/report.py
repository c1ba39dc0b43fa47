"""The page for people: what the run found, self-contained."""

from __future__ import annotations

from functools import partial
from html import escape
from string import Template

import numpy as np
import pandas as pd

from planning.advice import change, on_time
from planning.agenda import Agenda, agenda, named
from planning.decide import Decision
from planning.notes import notes_of
from planning.pages import figure_html, table_html, when
from planning.plots import delivery_figure, demand_figure, frontier_figure, money_figure
from planning.problem import Array
from planning.tables import Inputs
from planning.workspace import Workspace

TOP = 20  # rows shown of peaks and of lines; the files hold all
OPEN = 12  # lines to order soon that are shown at once
WORST = 10  # the worst of so many futures are told
BRIGHT = (
    "Predicted figures lean to the bright side: they are means over the very futures that the plan "
    "was made for. How it fares with orders that came later is told by"
)
HEADINGS = {"order_first": "first order by", "after_as_of": "after as-of"}  # else as in the files
FORMS = {  # of numbers; else whole ones as they are, others with two digits
    "probability": "{:.0%}",
    "seconds spared an order": "{:.1f}",
    "on time, points": "{:+.2f}",
    "change of spend": "{:+,}",
    "minutes per 1,000": "{:.1f}",
    "expected_units": "{:,.1f}",
    "upper_units": "{:,.1f}",
    "units_before": "{:,.1f}",
    "units_after": "{:,.1f}",
}
_table = partial(table_html, headings=HEADINGS, forms=FORMS)

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>peakahead · $as_of</title>
<style>
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; color: #1f2933; margin: 0 auto;
       max-width: 1080px; padding: 24px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 18px; margin: 36px 0 8px; }
h3 { font-size: 15px; margin: 20px 0 4px; } summary { cursor: pointer; padding: 8px 0; }
.lead { font-size: 18px; margin: 12px 0 20px; }
.muted { color: #616e7c; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; }
.card { border: 1px solid #e4e7eb; border-radius: 8px; padding: 12px 16px; }
.card b { display: block; font-size: 24px; color: #0b7285; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid #e4e7eb; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td { white-space: nowrap; } td.w { white-space: normal; min-width: 180px; }
.scroll { overflow-x: auto; }
@media (max-width: 640px) {
  body { padding: 16px; } thead { display: none; }
  table, tbody, td { display: block; }
  tr { display: grid; grid-template-columns: 1fr 1fr; gap: 2px 12px; padding: 8px 0;
       border-bottom: 1px solid #e4e7eb; }
  td, td.n, td.w { border: 0; padding: 0; min-width: 0; text-align: left; white-space: normal;
                   overflow-wrap: anywhere; }
  td.w { grid-column: 1 / -1; }
  td::before { content: attr(data-label); display: block; font-size: 11px; color: #616e7c; }
}
</style>
</head>
<body>
<h1>Supply plan</h1>
<div class="muted">as of $as_of, for $hours hours</div>
<p class="lead">$lead</p>
<div class="cards">$cards</div>
<h2>What to order, by when</h2>
$orders
<p class="muted">$bright <code>peakahead replay</code>.</p>
$figures
<h2>What would help most</h2>
$helps
<h2>Where the money goes</h2>
$suppliers
<h2>Peaks expected</h2>
$peaks
<h2>Lines of the plan</h2>
$lines
$committed
<h2>What was read</h2>
$counts
$cleaning
$notes
</body>
</html>
""")


def _card(figure: str, label: str) -> str:
    return f'<div class="card"><b>{escape(figure)}</b>{escape(label)}</div>'


def _lead(decision: Decision, workspace: Workspace) -> str:
    plan, reactive = decision.solution.predicted, decision.solution.reactive
    wanted = workspace.target_share
    share, before = (on_time(each.on_time_share, wanted) for each in (plan, reactive))
    bound = decision.committed.money
    beside = f", beside {bound:,.0f} confirmed before" if bound else ""
    money = (
        f"{plan.prealloc_value:,.0f} of the {workspace.working_capital:,.0f} "
        f"that may be committed{beside}."
    )
    if np.isnan(plan.mean_minutes) or np.isnan(reactive.mean_minutes):
        return f"No order that anybody can serve is expected. The plan takes {money}"
    return (
        f"With this plan an order is expected to be delivered in {plan.mean_minutes:.1f} minutes "
        f"instead of {reactive.mean_minutes:.1f}, and {share} instead of "
        f"{before} of orders within {workspace.target_minutes:g} minutes, "
        f"for {money} {decision.solution.status.capitalize()}."
    )


def _cards(decision: Decision, workspace: Workspace) -> str:
    """The figures at a glance; those of orders only where some are expected."""
    plan, reactive = decision.solution.predicted, decision.solution.reactive
    lines, wanted = decision.lines, workspace.target_share
    shares = (plan.on_time_share, reactive.on_time_share, _worst(plan.on_time))
    share, before, worst = (on_time(each, wanted) for each in shares)
    saved = reactive.spend - plan.spend
    cards = [
        (f"{plan.mean_minutes:.1f} min", f"mean delivery, {reactive.mean_minutes:.1f} on demand"),
        (share, f"on time, {before} on demand"),
        (worst, f"on time in the worst tenth of {len(plan.on_time)} sampled futures"),
        (
            f"{abs(saved):,.0f} {'saved' if round(saved) >= 0 else 'more'}",
            f"expected spend {plan.spend:,.0f}, {reactive.spend:,.0f} on demand",
        ),
        (f"{plan.lost_value:,.0f}", "expected loss on units that end unused"),
        _counted(lines),
    ]
    if np.isnan(plan.mean_minutes) or np.isnan(reactive.mean_minutes):
        cards = cards[3:]
    return "".join(_card(figure, label) for figure, label in cards)


def _counted(lines: pd.DataFrame) -> tuple[str, str]:
    """How many lines there are, and at how many suppliers."""
    sellers = lines["supplier_id"].nunique()
    what = "line" if len(lines) == 1 else "lines"
    return f"{len(lines):,}", f"{what} at {sellers} {'supplier' if sellers == 1 else 'suppliers'}"


def _worst(shares: Array) -> float:
    """Mean of the lowest tenth of the futures' shares on time, of one at least."""
    return float(np.sort(shares)[: -(-len(shares) // WORST)].mean())


def _names(inputs: Inputs, table: str, key: str) -> pd.Series:
    """Name by id."""
    names: pd.Series = inputs.tables[table].set_index(key)["name"]
    return names


def _orders(told: Agenda, decision: Decision) -> str:
    """What to do next, the lines to be ordered soon, and the later ones by supplier."""
    if decision.lines.empty:
        return "<p>Nothing is to be ordered.</p>"
    soon, later = told.soon, told.later
    first = decision.lines.sort_values(["order_by", "supplier_id"], kind="stable").iloc[0]
    steps = (
        "<p>Send each supplier its file in <code>exports/</code>, then enter what it answers with "
        f"<code>peakahead ack FILE</code>. The first must be sent by {when(first['order_by'])}, "
        f"to {escape(str(first['supplier_id']))}. Times are of {first['order_by'].tz}.</p>"
    )
    rest = soon.iloc[OPEN:]
    parts = [
        steps,
        _table(soon.head(OPEN)) if len(soon) else "<p>No line in the next 24 hours.</p>",
        f"<details><summary>{len(rest):,} more lines in the next 24 hours</summary>{_table(rest)}"
        "</details>"
        if len(rest)
        else "",
        f"<h3>After the next 24 hours, by supplier</h3>{_table(later)}" if len(later) else "",
    ]
    return "".join(parts)


def _figures(decision: Decision, workspace: Workspace) -> list[str]:
    """Each as HTML, that of the frontier last; the first one brings the script."""
    demand = decision.demand
    minutes, helps = workspace.target_minutes, decision.sensitivity
    figures = [
        delivery_figure(decision.solution, decision.market, minutes),
        demand_figure(demand.panel, demand.forecast),
        money_figure(decision.lines),
        frontier_figure(helps.frontier, workspace.working_capital, minutes),
    ]
    return [
        figure_html(figure, first=number == 0, number=number)
        for number, figure in enumerate(figures)
    ]


def _helps(decision: Decision, frontier: str) -> str:
    """Advice, shadow prices and the frontier."""
    helps = decision.sensitivity
    advice = "".join(f"<li>{escape(sentence)}</li>" for sentence in helps.advice)
    missed = f"<p>{escape(decision.solution.status.capitalize())}.</p>" if advice else ""
    used, known = helps.futures
    futures = f"all {known}" if used == known else f"{used} of the {known}"
    told = (
        "Each is tried, not estimated: the plan grows on or is served again under the other "
        f"terms, in {futures} sampled futures. They don't add up."
    )
    prices = helps.prices
    changes = zip(prices["what"], prices["supplier_id"], prices["amount"], strict=True)
    rows = pd.DataFrame(
        {
            "what if": [change(*each) for each in changes],
            "seconds spared an order": 60 * prices["minutes_saved"],
            "on time, points": 100 * prices["on_time_gain"],
            "change of spend": prices["spend_change"].round().astype("int64"),
        }
    )
    return (
        f"{missed}<ul>{advice}</ul>" if advice else ""
    ) + f'<p class="muted">{escape(told)}</p>{_table(rows)}{frontier}'


def _next_best(lines: pd.DataFrame) -> pd.Series:
    """Who else could be ready by then, and at what price."""
    names, costs = lines["next_supplier_id"], lines["next_unit_cost"].map("{:,.2f}".format)
    told = names.astype(str) + " at " + costs.astype(str)
    return told.where(names.notna(), "none")


def _lines(decision: Decision, products: pd.Series) -> pd.DataFrame:
    """The dearest lines with what explains them."""
    lines = decision.lines.merge(decision.details, on="line_id", how="left")
    shown = pd.DataFrame(
        {
            "supplier_id": lines["supplier_id"],
            "product": named(lines["product_id"], products),
            "order_by": lines["order_by"],
            "available_from": lines["available_from"],
            "units": lines["units"],
            "amount": lines["units"] * lines["unit_cost"],
            "minutes per 1,000": lines["minutes_per_1000"],
            "next best": _next_best(lines),
            "reason": lines["reason"],
        }
    )
    return shown.sort_values("amount", ascending=False, kind="stable").head(TOP)


def _dearest(decision: Decision, products: pd.Series) -> str:
    """The dearest lines of the plan, or that there are none."""
    if decision.lines.empty:
        return '<p class="muted">The plan has no line.</p>'
    dearest = _lines(decision, products)
    told = (
        f"The {len(dearest)} dearest of {len(decision.lines)}; all are in plan.csv. Minutes per "
        "1,000: what the last money in a line spares; next best: who else could be ready by then, "
        "and its unit cost."
    )
    return f'<p class="muted">{told}</p>{_table(dearest)}'


def _peaks(peaks: pd.DataFrame, products: pd.Series) -> str:
    """The largest peaks, or that there are none."""
    if peaks.empty:
        return '<p class="muted">No peak is expected.</p>'
    largest = peaks.sort_values("expected_units", ascending=False).head(TOP)
    rows = largest.assign(product_id=named(largest["product_id"], products))
    told = f"The {len(largest)} largest of {len(peaks)}; all are in peaks.csv."
    return f'<p class="muted">{told}</p>{_table(rows.rename(columns={"product_id": "product"}))}'


def _committed(decision: Decision, products: pd.Series) -> str:
    """What suppliers have confirmed before; empty if nothing is on order."""
    lines = decision.committed.lines
    if lines.empty:
        return ""
    amount = lines["units"] * lines["unit_cost"]
    rows = lines.assign(amount=amount, product_id=named(lines["product_id"], products))
    rows = rows.drop(columns=["line_id", "unit_cost"]).rename(columns={"product_id": "product"})
    rows = rows.sort_values("amount", ascending=False, kind="stable").head(TOP)
    told = (
        f"Suppliers have confirmed {len(lines):,} lines for {amount.sum():,.0f} that are still to "
        f"come. The plan is made around them; the {len(rows)} dearest, all are in committed.csv."
    )
    return (
        f'<h2>Confirmed before, still to come</h2><p class="muted">{escape(told)}</p>{_table(rows)}'
    )


def _suppliers(decision: Decision, inputs: Inputs) -> pd.DataFrame:
    lines = decision.lines.assign(amount=decision.lines["units"] * decision.lines["unit_cost"])
    names = _names(inputs, "suppliers", "supplier_id")
    rows = lines.groupby("supplier_id").agg(
        lines=("line_id", "size"),
        units=("units", "sum"),
        amount=("amount", "sum"),
        order_first=("order_by", "min"),
    )
    rows.insert(0, "name", names.reindex(rows.index))
    return rows.reset_index().sort_values("amount", ascending=False)


def _counts(inputs: Inputs) -> pd.DataFrame:
    return pd.DataFrame([{"table": name, **vars(count)} for name, count in inputs.counts.items()])


def _cleaning(decision: Decision, products: pd.Series) -> str:
    """What was changed in the history before it was learned from; empty if nothing was."""
    changes = decision.demand.forecast.cleaning
    if changes is None or changes.empty:
        return ""
    counts = changes["kind"].value_counts().sort_index()
    told = ", ".join(f"{str(kind).replace('_', ' ')} ({count})" for kind, count in counts.items())
    latest = changes.sort_values("starts_at", ascending=False, kind="stable").head(TOP)
    shown = latest.assign(
        product_id=named(latest["product_id"], products).replace("", "every product"),
        kind=latest["kind"].str.replace("_", " "),
    ).rename(columns={"product_id": "product"})
    return (
        "<h2>What was left out of the history</h2>"
        f'<p class="muted">{escape(told)}; the latest {len(shown)} of {len(changes)}, '
        f"all are in cleaning.csv.</p>{_table(shown)}"
    )


def report_page(
    decision: Decision, inputs: Inputs, as_of: pd.Timestamp, workspace: Workspace
) -> str:
    """One HTML page with everything inside: words, figures, tables."""
    peaks, lines = decision.demand.peaks, decision.lines
    products = _names(inputs, "products", "product_id")
    suppliers = _names(inputs, "suppliers", "supplier_id")
    told = agenda(lines, as_of, products=products, suppliers=suppliers)
    *figures, frontier = _figures(decision, workspace)
    notes = "".join(f"<li>{escape(note)}</li>" for note in notes_of(workspace, inputs, decision))
    return PAGE.substitute(
        as_of=escape(as_of.isoformat()),
        hours=f"{workspace.horizon.total_seconds() / 3600:g}",
        lead=escape(_lead(decision, workspace)),
        cards=_cards(decision, workspace),
        orders=_orders(told, decision),
        bright=BRIGHT,
        figures="".join(figures),
        helps=_helps(decision, frontier),
        suppliers=_table(_suppliers(decision, inputs)),
        peaks=_peaks(peaks, products),
        lines=_dearest(decision, products),
        committed=_committed(decision, products),
        counts=_table(_counts(inputs)),
        cleaning=_cleaning(decision, products),
        notes=f"<ul class='muted'>{notes}</ul>" if notes else "",
    )
