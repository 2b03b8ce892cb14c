"""What must never be in the code: a way for a file, a sweep or an image to run something or to fill the memory."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("experiments", "models", "utils")
SOURCES = [PROJECT / "run_sweep.py", *(path for name in PACKAGES for path in PROJECT.glob(f"{name}/**/*.py"))]

# What runs code that somebody else wrote, hands text to a shell, or unpacks without a bound.
FORBIDDEN = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "joblib.load"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "exec", "marshal.loads"),
    *("shutil.unpack_archive", "torch.hub.load", "torch.jit.load"),
}
DECODERS = ("cv2.imread", "cv2.imdecode", "Image.open", "pydicom.dcmread", "plt.imread")
"""What turns a file into pixels: only where images are bounded first."""


class Call(ast.NodeVisitor):
    """Every call of a file by its dotted name, with its keywords that are constants."""

    def __init__(self, path: Path) -> None:
        self.found: list[tuple[str, dict[str, object], int]] = []
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_Call(self, node: ast.Call) -> None:
        given = {each.arg: each.value for each in node.keywords if each.arg is not None}
        keywords: dict[str, object] = {n: each.value for n, each in given.items() if isinstance(each, ast.Constant)}
        self.found.append((ast.unparse(node.func), keywords, node.lineno))
        self.generic_visit(node)


def calls() -> Iterator[tuple[str, str, dict[str, object]]]:
    """(place, name, constant keywords) of every call in the project."""
    for path in SOURCES:
        for name, keywords, line in Call(path).found:
            yield f"{path.relative_to(PROJECT)}:{line}", name, keywords


CALLS = list(calls())


def test_nothing_runs_what_a_file_says() -> None:
    running = [(place, name) for place, name, _ in CALLS if name in FORBIDDEN or name.endswith(".extractall")]
    # The export that was written a moment before, which is asked whether it answers as PyTorch does.
    assert [(place.partition(":")[0], name) for place, name in running] == [
        ("experiments/prediction/export/formats.py", "torch.jit.load")
    ]
    # The annotations of our own registered parts, as `inspect.signature` reads them.
    assert {place.partition(":")[0] for place, name, _ in CALLS if name == "eval"} <= {"utils/registry.py"}


@pytest.mark.parametrize(
    ("function", "keyword", "wanted"),
    [
        ("torch.load", "weights_only", True),
        ("load_state_dict", "weights_only", True),  # timm's, of a file; a network's own has an object before its name
        ("np.load", "allow_pickle", False),
    ],
)
def test_files_are_read_as_data(function: str, keyword: str, wanted: bool) -> None:
    found = [(place, keywords) for place, name, keywords in CALLS if name == function]
    assert found and [place for place, keywords in found if keywords.get(keyword) is not wanted] == []


def test_no_value_reaches_a_shell() -> None:
    assert [place for place, _, keywords in CALLS if keywords.get("shell", False) is not False] == []
    assert [name for _, name, _ in CALLS if name.startswith("subprocess.")], "there are processes to look at"


def test_pixels_are_unpacked_only_where_their_number_is_bounded() -> None:
    places = {place.partition(":")[0] for place, name, _ in CALLS if name.endswith(DECODERS)}
    assert places
    for place in places:
        assert place.startswith("utils/images/") and "max_pixels" in (PROJECT / place).read_text(encoding="utf-8")


def test_a_shell_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("import subprocess, torch\nsubprocess.run('ls', shell=True)\ntorch.load('x')\n", encoding="utf-8")
    assert Call(file).found == [("subprocess.run", {"shell": True}, 2), ("torch.load", {}, 3)]
