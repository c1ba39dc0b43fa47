"""What holds for the project as a whole: lock, documentation, package, tracked files."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

DECLARED = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]
PRIVATE = {
    "an absolute path": re.compile(r"(?<![\w.}])/(?:home|root|Users|work|opt|mnt)/\w"),
    "a Windows path": re.compile(r"\b[A-Z]:\\\w"),
    "a registry's address": re.compile(r"(?:pypi|pythonhosted)\.org|--(?:extra-)?index-url"),
    "an IP address": re.compile(r"\b(?!127\.0\.0\.1|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}\b(?!\.)"),
    "a private key": re.compile(r"BEGIN [A-Z ]*PRIVATE KEY"),
    "a mail address": re.compile(r"\b[\w.+-]+@(?!example\.|host\b)[\w-]+\.(?:com|cn|org|net)\b"),
}


def listed() -> list[Path]:
    """Everything that git knows or would add."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.check_output(git, cwd=ROOT, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    return [ROOT / name for name in names.decode().split("\0") if name]


def tracked() -> list[Path]:
    """Its files."""
    return [path for path in listed() if path.is_file()]


def pinned() -> dict[str, list[tuple[Requirement, int]]]:
    """Name -> what the lock installs for it, and with how many hashes."""
    found: dict[str, list[tuple[Requirement, int]]] = {}
    for entry in re.split(r"\n(?=\S)", LOCK.replace("\\\n", "").strip()):
        text, *hashes = re.split(r"\s+--hash=", entry)
        requirement = Requirement(text)
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for one in hashes), text
        found.setdefault(requirement.name, []).append((requirement, len(hashes)))
    return found


def test_nothing_is_a_link():
    """It would lead to a place of one machine."""
    assert [path.name for path in listed() if path.is_symlink()] == []


def test_the_lock_pins_everything_by_hash_and_names_no_registry():
    for entries in pinned().values():
        for requirement, hashes in entries:
            assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
            assert hashes, f"{requirement} has no hash"
            assert requirement.url is None
    assert "://" not in LOCK
    assert not re.search(r"^-", LOCK, re.MULTILINE)


@pytest.mark.parametrize("declared", DECLARED, ids=str)
def test_the_lock_has_what_pyproject_asks_for(declared):
    entries = pinned().get(declared.name, [])
    versions = [next(iter(requirement.specifier)).version for requirement, _ in entries]
    assert versions, f"{declared.name} is not in the lock: make lock"
    assert all(declared.specifier.contains(version) for version in versions), versions


def test_the_lock_serves_every_python_that_the_project_allows():
    asked = Requirement(f"python{PROJECT['requires-python']}").specifier
    for minor in (11, 12, 13):
        assert asked.contains(f"3.{minor}")
        environment = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0"}
        for declared in DECLARED:
            markers = [requirement.marker for requirement, _ in pinned()[declared.name]]
            served = [marker is None or holds(marker, environment) for marker in markers]
            assert sum(served) == 1, f"{declared.name} on Python 3.{minor}"


def holds(marker: Marker, environment: dict[str, str]) -> bool:
    return marker.evaluate(environment)


def test_every_dependency_is_explained_once_and_nothing_else_is():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| ([a-z][\w-]*) \|", page, re.MULTILINE)
    names = [name for name in explained if name != "package"]
    assert sorted(names) == sorted(declared.name for declared in DECLARED)


def imported(path: Path) -> set[str]:
    """Roots of what a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("folder", ["forecast", "planning", "tests"])
def test_what_is_imported_is_declared(folder):
    """Not only there because something else needs it."""
    ours = {"forecast", "planning", "tests", "benchmarks"}
    ours |= {path.stem for path in ROOT.glob("benchmarks/*/*.py")}
    names = set().union(*map(imported, (ROOT / folder).rglob("*.py")))
    names -= set(sys.stdlib_module_names) | ours
    brought = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in DECLARED}
    missing = {
        name for name in names if not declared & set(map(canonicalize_name, brought.get(name, [])))
    }
    assert not missing


def test_the_classifiers_name_every_python_that_is_allowed():
    asked = Requirement(f"python{PROJECT['requires-python']}").specifier
    told = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert told == [f"3.{minor}" for minor in range(30) if asked.contains(f"3.{minor}")]


def test_relative_links_lead_somewhere():
    broken = []
    for path in tracked():
        if path.suffix not in (".md", ".ipynb"):
            continue
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            target = link.partition("#")[0]
            if "://" in link or link.startswith("mailto:") or not target:
                continue
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert not broken


def test_tracked_files_hold_nothing_private():
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or a Parquet file
        found += [
            f"{path.relative_to(ROOT)}: {what}: {match.group()}"
            for what, pattern in PRIVATE.items()
            for match in pattern.finditer(text)
        ]
    assert not found


def test_the_wheel_carries_the_sample_markets_tables(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tables = {f"planning/market_data/{path.name}" for path in (ROOT / "data").glob("*.csv")}
    assert tables
    assert tables <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "forecast",
        "planning",
    }
    assert {"forecast/py.typed", "planning/py.typed"} <= names


def test_make_help_tells_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split()
    told = re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE)
    assert sorted(told) == sorted(phony)
