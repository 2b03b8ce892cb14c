"""Each bad input gets one clear message and exit code 2; nothing is written or harmed, and no traceback is shown."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import run_sweep
from tests.bad_inputs import archives, folds, images, paths, sweep_files
from tests.bad_inputs.bad_input import BadInput
from tests.bad_inputs.data import image, write_data
from tests.utils.datasets.test_download import Kaggle

IN_PROCESS = [*sweep_files.bad.all, *paths.bad.all, *folds.bad.all, *images.bad.all]
AS_A_COMMAND = (
    "alias_bomb",
    "python_tag",
    "wrong_types",
    "a_hexadecimal_number_of_ten_thousand_digits",
    "weights_that_run_a_command",
    "folds_without_an_end",
    "image_that_claims_10000_x_10000",
    "image_cut_in_the_middle",
    "image_with_a_flipped_byte",
)
# A command that has come as far as the data holds the sweep's lock, whose file stays: to delete it would be a race.
LOCK = "runs/s/driver.lock"


@pytest.fixture(scope="session")
def good_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data that are as they should be."""
    root = tmp_path_factory.mktemp("good") / "data"
    write_data(root)
    return root


@pytest.fixture
def folder(tmp_path: Path, good_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: data, results of an earlier sweep, and beside it a folder that is nobody's business."""
    folder, outside = tmp_path / "here", tmp_path / "outside"
    shutil.copytree(good_data, folder / "data")
    earlier = folder / "results" / "runs" / "earlier" / "0123456789ab" / "fold-0"
    earlier.mkdir(parents=True)
    (earlier / "best.pt").write_bytes(b"weights")
    (folder / "results" / "earlier.csv").write_text("rank,configuration,status\n1,0123456789ab,complete\n")
    (folder / "results" / "optuna.db").write_bytes(b"studies")
    outside.mkdir()
    shutil.copy(image(folder, number=2), outside / "picture.png")
    monkeypatch.chdir(folder)
    return folder


def snapshot(folder: Path) -> dict[str, object]:
    """Every file, link and folder below a folder, with its content."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        found[str(path.relative_to(folder))] = content
    return found


def changes(before: dict[str, object], after: dict[str, object]) -> set[str]:
    """What is other than it was; of folders only those that have vanished."""
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {name for name in changed if name in before or after[name] != "folder"}


def check(bad: BadInput, printed: str, before: dict[str, object], after: dict[str, object]) -> None:
    """One line for each problem, which says what it must, and nothing else anywhere."""
    heading, *lines = printed.splitlines()
    assert heading == ("1 problem:" if len(bad.says) == 1 else f"{len(bad.says)} problems:"), printed
    assert len(lines) == len(bad.says), printed
    for says in bad.says:
        texts = (says,) if isinstance(says, str) else says
        assert [line for line in lines if all(text in line for text in texts)], (texts, printed)
    assert max(map(len, lines)) < 6000 and "Traceback" not in printed
    allowed = {f"here/results/{name}" for name in (LOCK, *bad.leaves)}
    assert changes(before, after) <= allowed


def names(inputs: list[BadInput]) -> list[str]:
    return [bad.name for bad in inputs]


def test_there_are_enough_bad_inputs() -> None:
    every = names([*IN_PROCESS, *archives.bad.all])
    assert len(every) == len(set(every)) >= 60
    assert set(AS_A_COMMAND) <= set(every)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as the product does, but pytest undoes it
@pytest.mark.parametrize("bad", IN_PROCESS, ids=names(IN_PROCESS))
def test_a_bad_input_gets_its_message_and_does_no_harm(
    bad: BadInput, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = bad.arguments(folder)
    before = snapshot(folder.parent)
    assert run_sweep.main(arguments) == 2
    check(bad, capfd.readouterr().err, before, snapshot(folder.parent))


@pytest.fixture
def kaggle(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """Kaggle, on this machine; nobody is logged in."""
    home = tmp_path_factory.mktemp("nobody")
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    try:
        server = Kaggle()
    except OSError as error:
        pytest.skip(f"no server can be had: {error}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("bad", archives.bad.all, ids=names(archives.bad.all))
def test_a_bad_archive_gets_its_message_and_stays_where_it_belongs(
    bad: BadInput, folder: Path, kaggle: Kaggle, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = bad.arguments(folder)
    archive = folder / "archive"
    kaggle.archive = archive.read_bytes() if archive.exists() else b""
    before = snapshot(folder.parent)
    assert run_sweep.main(arguments) == 2
    after = {name: content for name, content in snapshot(folder.parent).items() if ".fetched.part" not in name}
    printed = capfd.readouterr().err
    # The client shows how far it has come.
    check(bad, printed[printed.index("1 problem:") :], before, after)


@pytest.mark.slow
@pytest.mark.parametrize("name", AS_A_COMMAND)
def test_a_bad_input_ends_the_command_with_nothing_else_on_the_screen(name: str, folder: Path) -> None:
    [bad] = [bad for bad in IN_PROCESS if bad.name == name]
    arguments = bad.arguments(folder)
    before = snapshot(folder.parent)
    command = [sys.executable, str(Path(run_sweep.__file__)), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2, ended.stderr
    check(bad, ended.stderr, before, snapshot(folder.parent))
