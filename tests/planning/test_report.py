"""The page for people: self-contained, nothing of the input taken for markup, never a crash."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import plotly.io as pio
import pytest

from planning.advice import change
from planning.pages import when
from planning.plots import (
    HOUSE,
    KEPT,
    TIME_AXIS,
    delivery_figure,
    demand_figure,
    frontier_figure,
    keep_figures,
    money_figure,
    queue_figure,
)
from planning.report import OPEN, report_page
from planning.workspace import load_workspace
from tests.planning.workspaces import AS_OF, SUPPLIER

LOADS = {"src", "href", "srcset", "data", "poster", "action", "background"}


class _Page(HTMLParser):
    """Tags, what they load, and the text outside of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in LOADS]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def page(finished) -> str:
    return (finished.run_dir / "report.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing(page):
    read = _Page(page)
    assert read.open == []
    assert read.loaded == []
    assert "@import" not in page.split("</style>")[0]
    assert "Plotly.newPlot" in page


def test_names_are_text_and_never_markup(page):
    read = _Page(page)
    assert SUPPLIER not in page
    assert SUPPLIER in read.text


def test_the_page_tells_what_was_found(page, finished):
    text = " ".join(_Page(page).text.split())
    plan, reactive = (finished.answer.said["kpis"][key] for key in ("predicted", "reactive"))
    assert f"delivered in {plan['mean_minutes']:.1f} minutes" in text
    assert f"instead of {reactive['mean_minutes']:.1f}" in text
    lines = pd.read_csv(finished.run_dir / "plan.csv")
    assert f"dearest of {len(lines)};" in text
    assert "orders" in text


def test_the_page_tells_what_would_help(decided, sample):
    inputs, decision = decided
    told = replace(decision.sensitivity, advice=["Another <b>thing</b>."])
    read = _Page(_page(inputs, replace(decision, sensitivity=told), sample))
    text = " ".join(read.text.split())
    assert "Another <b>thing</b>." in text
    prices = decision.sensitivity.prices.iloc[0]
    assert change(prices["what"], prices["supplier_id"], prices["amount"]) in text


def test_a_supplier_keeps_its_whole_id_in_the_table_of_changes(decided, sample):
    inputs, decision = decided
    helps = decision.sensitivity
    prices = helps.prices.assign(what="channel", supplier_id="we would", amount=1.0)
    told = replace(helps, prices=prices.assign(words="1 more would help."))
    read = _Page(_page(inputs, replace(decision, sensitivity=told), sample))
    assert "1 more spot channel at we would" in read.text


def test_what_to_order_comes_first_and_says_when_where_and_what(decided, sample):
    inputs, decision = decided
    text = " ".join(_Page(_page(inputs, decision, sample)).text.split())
    first = decision.lines.sort_values(["order_by", "supplier_id"]).iloc[0]
    assert f"sent by {when(first['order_by'])}, to {first['supplier_id']}." in text
    assert f"{first['product_id']} · =1+1 <b>" in text
    assert text.index("What to order, by when") < text.index("What would help most")


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_long_list_of_orders_is_folded(decided, sample, more):
    inputs, decision = decided
    lines = decision.lines.head(1)
    lines = lines.loc[lines.index.repeat(OPEN + more)].assign(order_by=lines["order_by"].min())
    page = _page(inputs, replace(decision, lines=lines), sample)
    assert ("<details>" in page) == (more > 0)
    assert ("1 more lines" in page) == (more > 0)


def test_a_share_that_misses_the_target_is_not_rounded_up_to_it(decided, sample):
    inputs, decision = decided
    wanted = load_workspace(sample).target_share
    for short, shown in ((0.0001, "94.99%"), (0.0, "95%")):
        plan = replace(decision.solution.predicted, on_time_share=wanted - short)
        solution = replace(decision.solution, predicted=plan)
        read = _Page(_page(inputs, replace(decision, solution=solution), sample))
        assert f"and {shown} instead of" in " ".join(read.text.split())


@pytest.mark.parametrize(("saved", "told"), [(1234.0, "1,234 saved"), (-56.0, "56 more")])
def test_the_cards_tell_what_is_saved_what_is_lost_and_the_worst_futures(
    decided, sample, saved, told
):
    inputs, decision = decided
    solution = decision.solution
    plan = replace(
        solution.predicted,
        spend=solution.reactive.spend - saved,
        lost_value=789.0,
        on_time=np.r_[[0.0, 0.5], np.ones(18)],
    )
    decision = replace(decision, solution=replace(solution, predicted=plan))
    page = _page(inputs, decision, sample)
    cards = re.findall(r'<div class="card"><b>(.*?)</b>(.*?)</div>', page)
    assert told in dict(cards)
    assert "loss" in dict(cards)["789"]
    assert ("25%", "on time in the worst tenth of 20 sampled futures") in cards


def test_each_cell_says_what_it_is_where_the_headings_are_hidden(page):
    assert page.count("<td") == page.count(" data-label=")


def test_where_no_order_is_expected_the_page_says_so_in_a_sentence(decided, sample):
    inputs, decision = decided
    nothing = replace(decision.solution.predicted, mean_minutes=np.nan, on_time_share=1.0)
    solution = replace(decision.solution, predicted=nothing, reactive=nothing)
    text = " ".join(_Page(_page(inputs, replace(decision, solution=solution), sample)).text.split())
    assert "No order that anybody can serve is expected." in text
    assert "nan" not in text
    assert "mean delivery" not in text


def test_headings_are_words_and_a_chance_is_a_percentage(decided, sample):
    inputs, decision = decided
    chance = decision.demand.peaks.assign(probability=0.625)
    demand = replace(decision.demand, peaks=chance)
    read = _Page(_page(inputs, replace(decision, demand=demand), sample))
    for name in ("supplier id", "first order by", "after as-of", "expected units"):
        assert name in read.text
    for name in ("supplier_id", "order_first", "after_as_of", "fake_orders"):
        assert name not in read.text
    assert ("62%" in read.text) == bool(len(chance))
    assert not re.search(r"\d %", read.text)


def test_demand_is_shown_without_fake_orders_and_says_where_they_were(decided):
    _, decision = decided
    panel, forecast = decision.demand.panel, decision.demand.forecast
    marks = pd.DataFrame(
        {
            "kind": "fake_orders",
            "product_id": panel.ids[:1],
            "ds": panel.ds[-3:-2],
            "units": [panel.y[0, -3] / 2],
        }
    )
    plain, marked = (
        demand_figure(replace(panel, marks=given), forecast).data for given in (None, marks)
    )
    assert "left out: fake orders" not in [trace.name for trace in plain]
    fakes = next(trace for trace in marked if trace.name == "left out: fake orders")
    assert list(fakes.x) == list(panel.ds[-3:-2])
    assert fakes.customdata == pytest.approx([panel.y[0, -3] / 2])
    fall = np.asarray(plain[0].y, dtype=float) - np.asarray(marked[0].y, dtype=float)
    assert fall[-3] == pytest.approx(panel.y[0, -3] / 2)
    assert not np.delete(fall, -3).any()


def test_the_line_has_a_gap_where_nothing_was_observed(decided):
    _, decision = decided
    panel, forecast = decision.demand.panel, decision.demand.forecast
    gap = pd.DataFrame(
        {
            "product_id": [""],
            "starts_at": panel.ds[[-9]],
            "ends_at": panel.ds[[-7]],
            "kind": "gap",
            "units_after": [np.nan],
        }
    )
    shown = demand_figure(replace(panel, marks=None), replace(forecast, cleaning=gap)).data[0].y
    assert list(np.flatnonzero(np.isnan(shown)) - len(shown)) == [-9, -8]


@pytest.mark.parametrize("given", [None, "png"])
def test_figures_stay_in_a_notebook_unless_somebody_has_set_how(given, monkeypatch):
    monkeypatch.delenv("PLOTLY_RENDERER", raising=False)
    if given is not None:
        monkeypatch.setenv("PLOTLY_RENDERER", given)
    before = pio.renderers.default, pio.templates.default
    try:
        pio.renderers.default = "json"
        keep_figures()
        assert pio.renderers.default == (KEPT if given is None else "json")
        assert pio.templates.default == HOUSE
    finally:
        pio.renderers.default, pio.templates.default = before


def test_the_frontier_figure_shows_every_point(decided):
    frontier = decided[1].sensitivity.frontier
    figure = frontier_figure(frontier, 1000.0, 5.0)
    assert [len(line.x) for line in figure.data] == [len(frontier)] * 3
    assert list(figure.data[1].y) == pytest.approx(list(100 * frontier["on_time_share"]))


def test_a_queue_is_as_long_as_there_are_orders_in_it():
    since = pd.Timestamp("2026-03-30T18:00", tz="Asia/Shanghai")
    at = since.timestamp() + 60 * np.array([0.5, 1.5, 2.5, 2.6])
    waits = {"a": np.array([0.0, 2.0, 3.0, 0.0]), "b": np.zeros(4)}
    figure = queue_figure(at, waits, "Asia/Shanghai", since, since + pd.Timedelta(minutes=6))
    assert list(figure.data[0].y) == [0, 0, 1, 2, 1, 1, 0]
    assert not any(figure.data[1].y)


def test_markup_in_ids_and_reasons_stays_inside_figures_and_tables(decided, sample):
    inputs, decision = decided
    hostile = "</script><script>alert(2)</script>"
    lines = decision.lines.assign(supplier_id=hostile, reason=hostile, product_id=hostile)
    before = _Page(_page(inputs, decision, sample)).scripts
    page = _page(inputs, replace(decision, lines=lines), sample)
    assert hostile not in page
    assert _Page(page).scripts == before


@pytest.mark.parametrize("empty", ["lines", "peaks"])
def test_a_page_without_lines_or_without_peaks(decided, sample, empty):
    inputs, decision = decided
    if empty == "lines":
        decision = replace(decision, lines=decision.lines.head(0))
    else:
        demand = replace(decision.demand, peaks=decision.demand.peaks.head(0))
        decision = replace(decision, demand=demand)
    read = _Page(_page(inputs, decision, sample))
    told = {"lines": "The plan has no line.", "peaks": "No peak is expected."}
    assert told[empty] in read.text
    assert "The 0 " not in read.text
    assert read.open == []


def test_one_line_at_one_supplier_is_told_as_one(decided, sample):
    inputs, decision = decided
    page = _page(inputs, replace(decision, lines=decision.lines.head(1)), sample)
    assert "<b>1</b>line at 1 supplier<" in page


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2023-11-05T05:40Z", "Sun 05 Nov 00:40"),
        ("2023-11-05T06:40Z", "Sun 05 Nov 01:40 -05:00"),
        ("2023-11-05T07:00Z", "Sun 05 Nov 01:00 -06:00"),
        ("2023-11-05T08:00Z", "Sun 05 Nov 02:00"),
        ("2023-03-12T08:30Z", "Sun 12 Mar 03:30"),
    ],
)
def test_a_local_time_that_comes_twice_has_its_offset(at, told):
    assert when(pd.Timestamp(at).tz_convert("America/Chicago")) == told


def test_what_people_should_know_stands_on_the_page(decided, sample):
    inputs, decision = decided
    told = "line L1 that 'S01' has confirmed names an offer that is not listed"
    committed = replace(decision.committed, notes=[told])
    read = _Page(_page(inputs, replace(decision, committed=committed), sample))
    assert told in read.text


def _page(inputs, decision, sample) -> str:
    workspace = load_workspace(sample)
    return report_page(decision, inputs, pd.Timestamp(AS_OF, tz=workspace.timezone), workspace)


def test_equal_decisions_give_equal_pages(decided, sample):
    inputs, decision = decided
    assert _page(inputs, decision, sample) == _page(inputs, decision, sample)


def test_figures_are_returned_and_sum_up_the_plan(decided):
    _, decision = decided
    money = money_figure(decision.lines)
    bars = sum(float(bar.y.sum()) for bar in money.data)
    lines = decision.lines
    assert bars == pytest.approx((lines["units"] * lines["unit_cost"]).sum())
    delivery = delivery_figure(decision.solution, decision.market, 5.0)
    assert len(delivery.data[0].x) == len(decision.solution.starts)
    assert delivery.data[-1].name == "target: 5 minutes"
    assert not delivery.layout.annotations
    assert delivery.layout.xaxis.hoverformat == TIME_AXIS["hoverformat"]
    forecast = decision.demand.forecast
    expected = demand_figure(decision.demand.panel, forecast).data[-1]
    assert expected.y == pytest.approx(forecast.mean.sum(axis=0), rel=1e-5)


def test_a_figure_of_an_unknown_product_is_refused(decided):
    _, decision = decided
    with pytest.raises(ValueError, match="'nowhere' is not in the panel"):
        demand_figure(decision.demand.panel, decision.demand.forecast, "nowhere")
