"""The ledger in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from planning.ledger import Run


def runs_words(found: Sequence[Run], tz: str) -> str:
    """A row a run, stamps in local time."""
    table = pd.DataFrame([vars(entry) for entry in found]).astype(object)
    ended = pd.to_datetime(table["finished_at"], utc=True).dt.tz_convert(tz)
    shown = table[["run_id", "state", "as_of"]].assign(
        finished_at=[stamp.isoformat() for stamp in ended],
        minutes=[_figure(value, ".1f") for value in table["mean_minutes"]],
        on_time=[_figure(value, ".0%") for value in table["on_time_share"]],
    )
    return shown.to_string(index=False)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None or pd.isna(value) else format(value, form)


def status_words(
    last: Run | None, age: float | None, failed: Run | None, waiting: Sequence[str]
) -> str:
    """The last success and its age in seconds, a failure since, suppliers that haven't answered."""
    told = ["No run has succeeded yet."]
    if last is not None and age is not None:
        told = [f"Last success: {last.run_id}, {age / 3600:.1f} hours ago."]
    if failed is not None:
        told.append(f"The latest run failed, at {failed.finished_at}: {failed.error}")
    if waiting:
        told.append(f"Not answered yet (peakahead ack): {', '.join(waiting)}")
    return "\n".join(told)
