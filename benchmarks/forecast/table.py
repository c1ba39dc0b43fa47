"""The README's table, made from results.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- forecast results: made by run.py -->", "<!-- end of forecast results -->"
_SHOWN = {
    "SQL": "{:.3f}",
    "WQL": "{:.4f}",
    "MASE": "{:.3f}",
    "coverage80": "{:.3f}",
    "above99": "{:.3f}",
    "seconds": "{:.1f}",
}


def update() -> None:
    """Put the table between its marks in benchmarks/README.md."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    table = markdown(pd.read_csv(HERE / "results.csv"))
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def markdown(results: pd.DataFrame) -> str:
    """One block a set, best scaled quantile loss first."""
    lines = ["| set | model | reached | " + " | ".join(_SHOWN) + " |"]
    lines.append("|---|---|" + "---:|" * (1 + len(_SHOWN)))
    for name, rows in results.groupby("set", sort=True):
        for r in rows.sort_values("SQL").to_dict("records"):
            reached = f"{round(r['reached'], 1):g} of {r['series']:.0f}"
            cells = [form.format(r[column]) for column, form in _SHOWN.items()]
            lines.append(f"| {name} | {r['model']} | {reached} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
