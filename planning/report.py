"""The page for people: what the run found, self-contained."""

from __future__ import annotations

from html import escape
from string import Template

import numpy as np
import pandas as pd

from planning.decide import Decision, notes_of
from planning.pages import figure_html
from planning.plots import delivery_figure, demand_figure, frontier_figure, money_figure
from planning.tables import Inputs
from planning.workspace import Workspace

FIGURES = 3  # before that of the frontier
LONG = 32  # characters, from which on a cell may have several lines
TOP = 20  # rows shown of peaks and of lines; the files hold all
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
.lead { font-size: 18px; margin: 12px 0 20px; }
.muted { color: #616e7c; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; }
.card { border: 1px solid #e4e7eb; border-radius: 8px; padding: 12px 16px; }
.card b { display: block; font-size: 24px; color: #0b7285; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid #e4e7eb; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td { white-space: nowrap; } td.w { white-space: normal; min-width: 240px; }
.scroll { overflow-x: auto; }
</style>
</head>
<body>
<h1>Supply plan</h1>
<div class="muted">as of $as_of, for $hours hours</div>
<p class="lead">$lead</p>
<div class="cards">$cards</div>
$figures
<h2>What would help most</h2>
$helps
<h2>Where the money goes</h2>
<div class="scroll">$suppliers</div>
<h2>Peaks expected</h2>
<p class="muted">$peaks_told</p>
<div class="scroll">$peaks</div>
<h2>Lines of the plan</h2>
<p class="muted">$lines_told</p>
<div class="scroll">$lines</div>
$committed
<h2>What was read</h2>
<div class="scroll">$counts</div>
$cleaning
$notes
</body>
</html>
""")


def _table(rows: pd.DataFrame) -> str:
    kind = {name: _kind(rows[name]) for name in rows}
    head = "".join(f"<th{kind[name]}>{escape(_heading(str(name)))}</th>" for name in rows)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind[name]}>{escape(_shown(value, FORMS.get(str(name))))}</td>"
            for name, value in zip(rows.columns, row, strict=True)
        )
        + "</tr>"
        for row in rows.itertuples(index=False)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _kind(cells: pd.Series) -> str:
    """The class of a column: numbers, words of several lines, or neither."""
    if pd.api.types.is_numeric_dtype(cells):
        return ' class="n"'
    return ' class="w"' if cells.astype(str).str.len().max() > LONG else ""


def _heading(name: str) -> str:
    return HEADINGS.get(name, name.replace("_", " "))


def _shown(value: object, form: str | None) -> str:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%a %d %b %H:%M")
    if isinstance(value, float):
        return "" if np.isnan(value) else (form or "{:,.2f}").format(value)
    return (form or "{:,}").format(value) if isinstance(value, int) else str(value)


def _card(figure: str, label: str) -> str:
    return f'<div class="card"><b>{escape(figure)}</b>{escape(label)}</div>'


def _lead(decision: Decision, workspace: Workspace) -> str:
    plan, reactive = decision.solution.predicted, decision.solution.reactive
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
        f"instead of {reactive.mean_minutes:.1f}, and {plan.on_time_share:.0%} instead of "
        f"{reactive.on_time_share:.0%} of orders within {workspace.target_minutes:g} minutes, "
        f"for {money} {decision.solution.status.capitalize()}."
    )


def _cards(decision: Decision) -> str:
    """The figures at a glance; those of orders only where some are expected."""
    plan, reactive = decision.solution.predicted, decision.solution.reactive
    lines = decision.lines
    cards = [
        (f"{plan.mean_minutes:.1f} min", f"mean delivery, {reactive.mean_minutes:.1f} on demand"),
        (f"{plan.on_time_share:.0%}", f"on time, {reactive.on_time_share:.0%} on demand"),
        (f"{plan.spend:,.0f}", f"expected spend, {reactive.spend:,.0f} on demand"),
        (f"{len(lines):,}", f"lines at {lines['supplier_id'].nunique()} suppliers"),
    ]
    if np.isnan(plan.mean_minutes) or np.isnan(reactive.mean_minutes):
        cards = cards[2:]
    return "".join(_card(figure, label) for figure, label in cards)


def _figures(decision: Decision, workspace: Workspace) -> str:
    demand = decision.demand
    figures = [
        delivery_figure(decision.solution, decision.market, workspace.target_minutes),
        demand_figure(demand.panel, demand.forecast),
        money_figure(decision.lines),
    ]
    return "".join(
        figure_html(figure, first=number == 0, number=number)
        for number, figure in enumerate(figures)
    )


def _helps(decision: Decision, workspace: Workspace) -> str:
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
    rows = pd.DataFrame(
        {
            "what if": helps.prices["words"].str.split(" would ").str[0],
            "seconds spared an order": 60 * helps.prices["minutes_saved"],
            "on time, points": 100 * helps.prices["on_time_gain"],
            "change of spend": helps.prices["spend_change"].round().astype("int64"),
        }
    )
    figure = frontier_figure(helps.frontier, workspace.working_capital, workspace.target_minutes)
    return (
        (f"{missed}<ul>{advice}</ul>" if advice else "")
        + f'<p class="muted">{escape(told)}</p><div class="scroll">{_table(rows)}</div>'
        + figure_html(figure, first=False, number=FIGURES)
    )


def _lines(decision: Decision) -> pd.DataFrame:
    """The dearest lines with what explains them."""
    lines = decision.lines.merge(decision.details, on="line_id", how="left")
    shown = pd.DataFrame(
        {
            "supplier_id": lines["supplier_id"],
            "product_id": lines["product_id"],
            "order_by": lines["order_by"],
            "available_from": lines["available_from"],
            "units": lines["units"],
            "amount": lines["units"] * lines["unit_cost"],
            "minutes per 1,000": lines["minutes_per_1000"],
            "next best": lines["next_supplier_id"].fillna("none"),
            "reason": lines["reason"],
        }
    )
    return shown.sort_values("amount", ascending=False, kind="stable").head(TOP)


def _committed(decision: Decision) -> str:
    """What suppliers have confirmed before; empty if nothing is on order."""
    lines = decision.committed.lines
    if lines.empty:
        return ""
    amount = lines["units"] * lines["unit_cost"]
    rows = lines.assign(amount=amount).drop(columns=["line_id", "unit_cost"])
    rows = rows.sort_values("amount", ascending=False, kind="stable").head(TOP)
    told = (
        f"Suppliers have confirmed {len(lines):,} lines for {amount.sum():,.0f} that are still to "
        f"come. The plan is made around them; the {len(rows)} dearest, all are in committed.csv."
    )
    return (
        f'<h2>Confirmed before, still to come</h2><p class="muted">{escape(told)}</p>'
        f'<div class="scroll">{_table(rows)}</div>'
    )


def _suppliers(decision: Decision, inputs: Inputs) -> pd.DataFrame:
    lines = decision.lines.assign(amount=decision.lines["units"] * decision.lines["unit_cost"])
    names = inputs.tables["suppliers"].set_index("supplier_id")["name"]
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


def _cleaning(decision: Decision) -> str:
    """What was changed in the history before it was learned from; empty if nothing was."""
    changes = decision.demand.forecast.cleaning
    if changes is None or changes.empty:
        return ""
    counts = changes["kind"].value_counts().sort_index()
    told = ", ".join(f"{str(kind).replace('_', ' ')} ({count})" for kind, count in counts.items())
    latest = changes.sort_values("starts_at", ascending=False, kind="stable").head(TOP)
    shown = latest.assign(
        product_id=latest["product_id"].replace("", "every product"),
        kind=latest["kind"].str.replace("_", " "),
    )
    return (
        "<h2>What was left out of the history</h2>"
        f'<p class="muted">{escape(told)}; the latest {len(shown)} of {len(changes)}, '
        f'all are in cleaning.csv.</p><div class="scroll">{_table(shown)}</div>'
    )


def report_page(
    decision: Decision, inputs: Inputs, as_of: pd.Timestamp, workspace: Workspace
) -> str:
    """One HTML page with everything inside: words, figures, tables."""
    peaks, lines = decision.demand.peaks, decision.lines
    largest = peaks.sort_values("expected_units", ascending=False).head(TOP)
    dearest = _lines(decision)
    notes = "".join(f"<li>{escape(note)}</li>" for note in notes_of(workspace, inputs, decision))
    return PAGE.substitute(
        as_of=escape(as_of.isoformat()),
        hours=f"{workspace.horizon.total_seconds() / 3600:g}",
        lead=escape(_lead(decision, workspace)),
        cards=_cards(decision),
        figures=_figures(decision, workspace),
        helps=_helps(decision, workspace),
        suppliers=_table(_suppliers(decision, inputs)),
        peaks_told=f"The {len(largest)} largest of {len(peaks)}; all are in peaks.csv.",
        peaks=_table(largest),
        lines_told=(
            f"The {len(dearest)} dearest of {len(lines)}; all are in plan.csv. Minutes per 1,000: "
            "what the last money in a line spares; next best: who else could be ready by then."
        ),
        lines=_table(dearest),
        committed=_committed(decision),
        counts=_table(_counts(inputs)),
        cleaning=_cleaning(decision),
        notes=f"<ul class='muted'>{notes}</ul>" if notes else "",
    )
