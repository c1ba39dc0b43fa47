"""The notebooks run from top to bottom on a fresh market, and hold nothing but the story."""

import ast
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from planning.market import make_market

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
OWN = "02-plan-and-delivery-time.ipynb"  # run on a workspace that is no sample market
FIGURE = "application/vnd.plotly.v1+json"
SECONDS = 300  # for a cell, on a busy machine
NO_PROSE = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Lambda,
    ast.ClassDef,
    ast.For,
    ast.While,
    ast.comprehension,
)

per_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_market(tmp_path_factory.mktemp("notebooks") / "market", days=11, products=4).root


@pytest.fixture
def kernel_environment(workspace, tmp_path, monkeypatch):
    """A kernel that sees the market and nothing of the user's own settings."""
    monkeypatch.setenv("PEAKAHEAD_WORKSPACE", str(workspace))
    monkeypatch.delenv("PLOTLY_RENDERER", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter-data"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


@pytest.fixture
def own(workspace, tmp_path):
    """The market's tables alone, as those of somebody's own shop: nothing says what came after."""
    root = Path(shutil.copytree(workspace, tmp_path / "own"))
    for name in ("market.json", "future.parquet"):
        (root / name).unlink()
    return root


def executed(path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=SECONDS, resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    return notebook


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 2


@per_notebook
def test_a_notebook_rounds_as_the_job_does(path):
    """The first thing it does is what the command does first, before numpy is imported."""
    first = ast.parse(code_cells(nbformat.read(path, as_version=4))[0].source).body
    assert ast.unparse(first[0]) == "from planning.cli import same_arithmetic"
    assert ast.unparse(first[1]) == "same_arithmetic()"


@per_notebook
def test_a_notebook_is_committed_clean(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells] == [
        f"cell-{number:02d}" for number in range(1, len(notebook.cells) + 1)
    ]
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@per_notebook
def test_a_notebook_defines_nothing_and_loops_nowhere(path):
    for cell in code_cells(nbformat.read(path, as_version=4)):
        kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & set(NO_PROSE), cell.id


@per_notebook
def test_a_notebook_runs_and_shows_figures(path, kernel_environment, own, monkeypatch):
    if path.name == OWN:
        monkeypatch.setenv("PEAKAHEAD_WORKSPACE", str(own))
    notebook = executed(path)
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    printed = [output.text for output in outputs if output.output_type == "stream"]
    assert not printed, "a warning, or a figure that was printed instead of shown"
    figures = [output.data[FIGURE] for output in outputs if FIGURE in output.get("data", {})]
    assert len(figures) >= 3
    assert all(figure["data"] for figure in figures)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count("Plotly.newPlot(") == len(figures)
    assert 'src="https://cdn.plot.ly' not in page
