"""The house stays as it was drawn: imports run one way, files and folders stay small, names say what is inside."""

from __future__ import annotations

import ast
import graphlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
LAYERS = ("utils", "models", "experiments", "run_sweep")
"""From the bottom up: each may import those before it."""
HEAVY = {"ray": ("experiments.scheduling",), "optuna": ("experiments.study",)}
"""Library -> the only packages that import it."""
MOST_LINES = 330
MOST_FILES = 12
TOP_LEVEL = {
    *(".ci", ".gitignore", ".ruff.toml", "LICENSE", "README.md", "pyproject.toml", "setup.cfg"),
    *("experiments", "models", "utils", "run_sweep.py", "sweeps", "results", "tests"),
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports; for_types: only a type checker sees it."""

    target: str
    line: int
    for_types: bool


def sources() -> Iterator[Path]:
    yield PROJECT / "run_sweep.py"
    for layer in LAYERS[:-1]:
        yield from sorted((PROJECT / layer).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sources()}


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a file, inside functions too, as dotted names: ``from a import b`` is ``a.b``."""

    def walk(node: ast.AST, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name_of(path).split(".")[: -node.level + (path.name == "__init__.py") or None]
            base = ".".join([*(package if node.level else ()), *([node.module] if node.module else ())])
            yield from (Import(f"{base}.{alias.name}", node.lineno, for_types) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.body:
                yield from walk(child, True)
            for child in node.orelse:
                yield from walk(child, for_types)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, for_types)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


IMPORTS = {name: list(imports_of(path)) for name, path in MODULES.items()}


def module_of(target: str) -> str | None:
    """The module of ours that a dotted name comes from; None for a library's.

    What a package's ``__init__`` takes from a module of its own to hand it on is followed to that module: a
    re-export is an address, and would turn every package whose modules use each other into a circle.
    """
    if target in MODULES:
        return target
    package, _, name = target.rpartition(".")
    if package not in MODULES:
        return None
    if MODULES[package].name == "__init__.py":
        for found in IMPORTS[package]:
            if found.target.rpartition(".")[2] == name and found.target != target:
                return module_of(found.target)
    return package


def dependencies(*, types: bool) -> dict[str, set[str]]:
    """Module -> modules of ours that it imports; types: also what only a type checker imports."""
    graph: dict[str, set[str]] = {}
    for name, imports in IMPORTS.items():
        targets = {module_of(each.target) for each in imports if types or not each.for_types}
        graph[name] = {target for target in targets if target is not None and target != name}
    return graph


def test_the_parser_sees_imports_wherever_they_stand() -> None:
    graph = dependencies(types=True)
    assert "experiments.driver" in graph["run_sweep"], "an import inside a function"
    assert "experiments.ledger.lock" in graph["experiments.driver"], "a name that a package hands on"
    assert "experiments.training" in graph["experiments.preparation.survey"], "a name that a package defines itself"


def test_imports_run_one_way() -> None:
    # A type that is only named is knowledge of the other layer too.
    upwards = [
        f"{name} imports {target}"
        for name, targets in dependencies(types=True).items()
        for target in targets
        if LAYERS.index(target.partition(".")[0]) > LAYERS.index(name.partition(".")[0])
    ]
    assert upwards == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    try:
        graphlib.TopologicalSorter(dependencies(types=False)).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_package_of_the_experiments_imports_itself_by_way_of_others() -> None:
    def room(module: str) -> str:
        # A package's command line stands on top of the house: it calls rooms that are built upon its own package.
        return module if module.endswith(".__main__") else ".".join(module.split(".")[:2])

    graph: dict[str, set[str]] = {}
    for name, targets in dependencies(types=False).items():
        if name.startswith("experiments."):
            graph.setdefault(room(name), set()).update({room(target) for target in targets} - {room(name)})
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_stays_in_its_room(library: str) -> None:
    users = {name for name, imports in IMPORTS.items() for each in imports if each.target.partition(".")[0] == library}
    strays = {name for name in users if not name.startswith(HEAVY[library])}
    assert users, f"nobody imports {library}: has its room another name?"
    assert strays == set()


def test_every_module_of_a_package_is_found_by_pip() -> None:
    """Without ``__init__.py`` a folder is left out of the installed package."""
    bare = {path.parent for path in sources() if path.parent != PROJECT and not (path.parent / "__init__.py").exists()}
    assert bare == set()


def test_files_are_one_noun_each() -> None:
    long = {name: count for name, path in MODULES.items() if (count := len(path.read_text().splitlines())) > MOST_LINES}
    assert long == {}


def test_folders_stay_small_and_say_what_is_inside() -> None:
    files: dict[Path, int] = {}
    for path in [*sources(), *(PROJECT / "tests").rglob("*.py")]:
        files[path.parent] = files.get(path.parent, 0) + 1
    assert {str(folder): count for folder, count in files.items() if count > MOST_FILES} == {}
    words = {word for name in MODULES for word in name.split(".")}
    assert words.isdisjoint({"helpers", "helper", "common", "misc", "util", "tools"})


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME")
    texts = [*sources(), *(PROJECT / "tests").rglob("*.py"), *(PROJECT / "sweeps").glob("*.yaml")]
    assert [str(path) for path in texts if any(mark in path.read_text(encoding="utf-8") for mark in marks)] == []


def test_tests_mirror_the_house() -> None:
    strangers = [
        str(folder)
        for folder in (PROJECT / "tests").rglob("*")
        if folder.is_dir()
        and any(folder.glob("test_*.py"))
        and not (PROJECT / folder.relative_to(PROJECT / "tests")).is_dir()
        and folder.name not in ("benchmarks", "bad_inputs")
    ]
    assert strangers == []


def test_the_top_level_holds_what_belongs_there() -> None:
    if shutil.which("git") is None or not (PROJECT / ".git").exists():
        pytest.skip("not a git checkout: what is tracked cannot be told from what lies about")
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert {line.partition("/")[0] for line in tracked.splitlines()} <= TOP_LEVEL


def test_the_two_opencv_packages_are_one_version() -> None:
    """They unpack into the same folder: albumentations asks for the headless one, others for the full one."""
    assert version("opencv-python") == version("opencv-python-headless")
