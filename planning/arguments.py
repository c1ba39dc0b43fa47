"""The words of the command line: every command and its options, each with help and an example."""

from __future__ import annotations

import argparse
from importlib import metadata
from pathlib import Path
from typing import NoReturn

MOST_DAYS = 36_500

DESCRIPTION = """\
Forecast demand peaks of virtual goods and pre-allocate supplier inventory ahead of them.

A workspace is a folder with peakahead.toml and the tables that it names: orders, products,
suppliers, offers. Start with a sample market:

  peakahead init market
  peakahead run -w market --as-of 2026-03-30
"""
EPILOG = """\
exit codes: 0 done or already done, 1 an input was refused, no plan is possible or something
stored was changed,
2 usage or configuration, 75 another run is at work (try later), 143 stopped by a signal
"""


class Misspelt(Exception):
    """The command line can't be understood."""


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving, so that a wrong command line is told like any other mistake."""

    def error(self, message: str) -> NoReturn:
        raise Misspelt(f"{message}\n{self.format_usage().strip()}")


def _shared() -> argparse.ArgumentParser:
    """Options that work before and after the command's own."""
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = shared.add_argument_group("options of every command")
    group.add_argument(
        "-w", "--workspace", type=Path, metavar="DIR", help="the workspace (default: .)"
    )
    group.add_argument("--json", action="store_true", help="one JSON object on stdout")
    group.add_argument("--quiet", action="store_true", help="no progress, no notes")
    return shared


class _Commands:
    """Adds commands that share their common options and the look of their help."""

    def __init__(self, parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        self._shared = shared

    def add(self, name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return self._commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"example:\n  {example}",
            parents=[self._shared],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )


def _whole(text: str, least: int, most: float, words: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number {words}")
    return value


def _count(text: str) -> int:
    return _whole(text, 1, float("inf"), "from 1 on")


def _days(text: str) -> int:
    return _whole(text, 1, MOST_DAYS, f"from 1 to {MOST_DAYS}")


def _minutes_value(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_DAYS * 1440:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes")
    return value


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} holds an empty name; write a,b")
    return names


def _seed_value(text: str) -> int:
    return _whole(text, 0, 2**31 - 1, f"from 0 to {2**31 - 1}")


def _as_of(command: argparse.ArgumentParser, default: str = "now") -> None:
    command.add_argument(
        "--as-of",
        metavar="TS",
        help="the instant to pretend it is: ISO 8601, naive = local, a date = local midnight "
        f"(default: {default}); nothing that became known later is read",
    )


def _seed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=_seed_value, default=0, metavar="N", help="default: 0")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    shared = _shared()
    top = _Parser(
        prog="peakahead",
        description=DESCRIPTION,
        epilog=EPILOG,
        parents=[shared],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=metadata.version("peakahead"))
    commands = _Commands(top, shared)
    _add_init(commands)
    _add_run(commands)
    _add_forecast(commands)
    _add_backtest(commands)
    _add_replay(commands)
    _add_evaluate(commands)
    _add_ack(commands)
    commands.add("runs", "list the runs in the ledger", "peakahead runs -w market")
    commands.add("status", "tell the last success and its age", "peakahead status -w market --json")
    _add_suppliers(commands)
    commands.add(
        "verify",
        "check every stored file and the ledger's chain, and name what was changed",
        "peakahead verify -w market",
    )
    commands.add(
        "lab", "open the notebooks in JupyterLab on this workspace", "peakahead lab -w market"
    )
    return top


def _add_init(commands: _Commands) -> None:
    init = commands.add(
        "init", "make a sample market in DIR", "peakahead init market --products 60 --days 120"
    )
    init.add_argument("dir", type=Path, metavar="DIR")
    init.add_argument("--days", type=_days, default=120, metavar="N", help="of history (120)")
    init.add_argument("--products", type=_count, default=60, metavar="N", help="default: 60")
    init.add_argument(
        "--capital-days",
        type=float,
        default=0.5,
        metavar="X",
        help="working capital, in recent days' spend (0.5)",
    )
    init.add_argument(
        "--price-spread", type=float, default=2.0, metavar="X", help="dearest over cheapest (2)"
    )
    _seed(init)


def _add_run(commands: _Commands) -> None:
    run = commands.add(
        "run",
        "do the scheduled job: read, validate, forecast, find peaks, plan, check, export, report",
        "peakahead run -w market --as-of 2026-03-30",
    )
    _as_of(run)
    run.add_argument("--dry-run", action="store_true", help="write nothing")
    run.add_argument(
        "--previous",
        type=Path,
        metavar="F",
        help="an earlier plan.csv, not ordered yet: change its lines only for much better ones",
    )
    run.add_argument(
        "--freeze",
        type=_minutes_value,
        default=0.0,
        metavar="MIN",
        help="keep lines of --previous that are to be ordered within so many minutes (0)",
    )
    _seed(run)


def _add_forecast(commands: _Commands) -> None:
    forecast = commands.add(
        "forecast",
        "forecast only: a workspace, or any long frame of unique_id, ds, y",
        "peakahead forecast --series sales.csv --freq 1h --horizon 48 --out ahead.parquet",
    )
    _as_of(forecast)
    forecast.add_argument(
        "--out",
        type=Path,
        default=Path("forecast.parquet"),
        metavar="F",
        help=".parquet or .csv (forecast.parquet)",
    )
    forecast.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="reuse the trained model in FILE when it is fresh enough, else train and write it",
    )
    _series(forecast)
    _seed(forecast)


def _add_backtest(commands: _Commands) -> None:
    backtest = commands.add(
        "backtest",
        "rolling-origin leaderboard of every model and of the blend",
        "peakahead backtest -w market --windows 3",
    )
    _as_of(backtest)
    backtest.add_argument("--windows", type=_count, default=2, metavar="N", help="origins (2)")
    backtest.add_argument(
        "--members",
        type=_names,
        metavar="A,B",
        help="models to score and blend; default: those that suit thousands of series",
    )
    backtest.add_argument(
        "--out",
        type=Path,
        metavar="F",
        help="a .csv (the leaderboard), an .html (figures) or a folder (all tables and figures)",
    )
    _series(backtest)
    _seed(backtest)


def _series(command: argparse.ArgumentParser) -> None:
    command.add_argument("--series", type=Path, metavar="FILE", help="no workspace needed")
    command.add_argument("--freq", metavar="F", help="of --series: 15min, 1h, 1D …, or a step")
    command.add_argument("--horizon", type=_count, metavar="H", help="of --series: buckets ahead")
    command.add_argument("--season", type=_count, metavar="N", help="of --series: buckets")


def _add_replay(commands: _Commands) -> None:
    replay = commands.add(
        "replay",
        "serve orders under a plan by the fulfilment rules; several --plan are held side by side",
        "peakahead replay -w market --orders market/future.parquet --plan none --plan latest",
    )
    replay.add_argument("--orders", type=Path, required=True, metavar="F")
    replay.add_argument(
        "--plan",
        action="append",
        required=True,
        metavar="F",
        help="a plan.csv, none (buy on demand), last-week (the same hours) or latest (last run's)",
    )
    replay.add_argument(
        "--seeds",
        type=_count,
        default=1,
        metavar="N",
        help="replay with so many seeds, from --seed on, and tell means and spread (1)",
    )
    _as_of(replay, "that of the run that made the plan, else now")
    _seed(replay)


def _add_evaluate(commands: _Commands) -> None:
    evaluate = commands.add(
        "evaluate",
        "decide past days anew and serve their real orders: buying on demand, last week's same "
        "hours, base stock, the plan and perfect foresight, stock carried from day to day",
        "peakahead evaluate -w market --as-of 2026-03-30 --days 3 --out evaluation",
    )
    _as_of(evaluate)
    evaluate.add_argument(
        "--days", type=_days, default=3, metavar="N", help="last whole days before as-of (3)"
    )
    evaluate.add_argument(
        "--out",
        type=Path,
        metavar="F",
        help="a .csv (the policies), an .html (figures) or a folder (all tables and figures)",
    )
    _seed(evaluate)


def _add_ack(commands: _Commands) -> None:
    ack = commands.add(
        "ack",
        "take in a supplier's answer: the request that it was sent, with confirmed_units and, "
        "if they come at another time, confirmed_from filled in; the next run plans around it",
        "peakahead ack -w market S03-answer.xlsx",
    )
    ack.add_argument("file", type=Path, metavar="FILE", help=".xlsx, .csv or .json")
    ack.add_argument(
        "--as-of",
        metavar="TS",
        help="runs as of this instant and later know of the answer (default: from the as-of of "
        "the run that asked)",
    )


def _add_suppliers(commands: _Commands) -> None:
    suppliers = commands.add(
        "suppliers",
        "scorecard of the suppliers: orders on time, minutes, failures, price drift, licence days "
        "left, what they confirm of what they are asked for",
        "peakahead suppliers -w market --as-of 2026-03-30",
    )
    _as_of(suppliers)
    suppliers.add_argument(
        "--days", type=_days, default=28, metavar="N", help="looked back on from as-of (28)"
    )
