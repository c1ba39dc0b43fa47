"""The README's tables, made from the CSVs."""

from __future__ import annotations

import pandas as pd
from results import HERE

README = HERE.parent / "README.md"
BEGIN, END = "<!-- planning results: made by run.py -->", "<!-- end of planning results -->"


def update() -> None:
    """Put the tables between their marks in benchmarks/README.md."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}", encoding="utf-8")


def markdown() -> str:
    """One table a CSV that is there."""
    made = [
        table(pd.read_csv(HERE / name)) for name, table in TABLES.items() if (HERE / name).exists()
    ]
    return "\n\n".join(made)


def _table(header: str, rows: list[list[str]], *, names: int = 1) -> str:
    columns = header.split(" | ")
    marks = ["---"] * names + ["---:"] * (len(columns) - names)
    lines = [header, " | ".join(marks), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def known(results: pd.DataFrame) -> str:
    """Every known answer; the random samples in one row."""
    sampled = results["instance"].str.startswith("sample of ")
    rows = []
    for r in results[~sampled].to_dict("records"):
        error = f"{r['standard_error']:.2g}" if r["standard_error"] > 0 else "–"
        agrees = "yes" if r["agrees"] else "no"
        numbers = [f"{r['ours']:.6g}", f"{r['known']:.6g}", f"{r['difference']:.2g}", error]
        rows.append([r["instance"], r["measure"], *numbers, agrees])
    of = results[sampled]
    agreed = f"{int(of['agrees'].sum())} of {len(of)}"
    rows.append(["random samples", "order statistic", "", "", "", "–", agreed])
    header = "instance | measure | ours | known | difference | standard error | agrees"
    return _table(header, rows, names=2)


def small(results: pd.DataFrame) -> str:
    """Means and worst of each kind, gaps in per cent."""
    rows = []
    won = 1 - (results["ours"] - results["bound"]) / (results["reactive"] - results["bound"])
    for kind, r in results.assign(won=won).groupby("kind", sort=False):
        rows.append(
            [
                str(kind),
                str(len(r)),
                f"{100 * r['gap'].mean():.2f}",
                f"{100 * r['gap'].max():.2f}",
                f"{100 * r['milp_gap'].max():.2f}",
                f"{100 * r['won'].mean():.0f}",
                f"{r['ours_seconds'].mean():.2f}",
                f"{r['milp_seconds'].mean():.1f}",
            ]
        )
    header = "kind | instances | gap % | worst % | its own % | won % | s | its s"
    return _table(header, rows)


def scale(results: pd.DataFrame) -> str:
    """A row a size."""
    rows = []
    for r in results.sort_values("products").to_dict("records"):
        done = r["seconds"] == r["seconds"]
        figures = (
            [
                f"{r['seconds']:.0f}",
                f"{r['peak_rss_mb'] / 1024:.1f}",
                f"{100 * r['gap']:.1f}",
                f"{r['reactive_minutes']:.1f}",
                f"{r['plan_minutes']:.1f}",
            ]
            if done
            else ["", "", "", "", ""]
        )
        rows.append([f"{r['products']:,}", f"{r['paths']:g}", *figures, r["status"]])
    return _table("products | paths | s | GiB | gap % | reactive min | plan min | status", rows)


def speed(results: pd.DataFrame) -> str:
    """A row a task, a column a simulator."""
    rows = []
    for (orders, channels), r in results.groupby(["orders", "channels"]):
        rate = r.set_index("simulator")["orders_per_second"]
        told = [f"{rate[name]:,.0f}" if name in rate else "" for name in SIMULATORS]
        rows.append([f"{orders:,} orders, {channels} channels", *told])
    return _table("orders a second | " + " | ".join(SIMULATORS), rows)


def markets(results: pd.DataFrame) -> str:
    """A row a market, the plan between buying on demand and perfect foresight."""
    rows = []
    for name, r in results.groupby("market", sort=False):
        of = r.set_index("policy")
        plan, minutes = of.loc["plan"], of["mean_minutes"]
        others = [f"{minutes[policy]:.2f}" for policy in ("reactive", "last-week", "base-stock")]
        rows.append(
            [
                str(name),
                *others,
                f"{minutes['plan']:.2f}",
                f"{minutes['foresight']:.2f}",
                f"{plan['on_time_share']:.3f}",
                f"{plan['p95_minutes']:.1f}",
                f"{plan['spend']:.3f}",
                f"{100 * plan['won']:.1f}",
            ]
        )
    header = "market, mean minutes | on demand | last week | base stock | plan | foresight | "
    return _table(header + "on time | p95 | spend | won %", rows)


SIMULATORS = ("peakahead", "ciw", "simpy")
TABLES = {
    "markets.csv": markets,
    "known.csv": known,
    "small.csv": small,
    "scale.csv": scale,
    "queue_peers.csv": speed,
}
