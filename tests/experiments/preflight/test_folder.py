"""The results folder is tried before it is needed, on every machine that will write to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.preflight.folder import FolderProbe, check_folder, folder_problems, marked, probe_folder
from experiments.preflight.node import inspect_node, node_problems
from experiments.preflight.slot import Slot, gpu_memory, host_memory, slot_here


def test_a_folder_that_can_be_written_to_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    assert check_folder(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        [problem] = check_folder(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert "Permission denied" in problem.message


@pytest.mark.parametrize("place", ["results", "results/below"])
def test_a_file_in_the_way_is_found(tmp_path: Path, place: str) -> None:
    (tmp_path / "results").write_text("not a folder")
    [problem] = check_folder(tmp_path / place)
    assert problem.where == "--results"
    assert "cannot be written to" in problem.message
    assert (tmp_path / "results").read_text() == "not a folder"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no file system that refuses even root")
def test_a_file_system_that_takes_no_files_is_found() -> None:
    [problem] = check_folder(Path("/proc/self"))
    assert "cannot be written to" in problem.message


def test_a_machine_that_shares_the_folder_sees_the_mark(tmp_path: Path) -> None:
    with marked(tmp_path / "results") as token:
        probe = probe_folder(str(tmp_path / "results"), token)
        assert probe.sees
        assert probe.refusal == ""
        assert folder_problems(tmp_path, [probe]) == []
    assert list((tmp_path / "results").iterdir()) == []
    assert not probe_folder(str(tmp_path / "results"), token, patience=0).sees, "the mark goes with its context"


def test_a_machine_with_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    with marked(tmp_path / "ours") as token:
        other = probe_folder(str(tmp_path / "theirs"), token, patience=0)
        none = probe_folder(str(tmp_path / "nowhere"), token, patience=0)
    assert not (tmp_path / "nowhere").exists(), "probing makes no folder"
    problems = folder_problems(tmp_path / "ours", [other, none])
    assert len(problems) == 2
    assert all("share" in problem.message and other.host in problem.message for problem in problems)
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_machine_that_may_not_write_is_found(tmp_path: Path) -> None:
    [problem] = folder_problems(tmp_path, [FolderProbe("node-2", sees=True, refusal="Permission denied")])
    assert "node-2 cannot write there: Permission denied" in problem.message


def test_this_machine_has_nothing_against_itself(tmp_path: Path) -> None:
    with marked(tmp_path) as token:
        report = inspect_node(str(tmp_path), token)
    assert node_problems(tmp_path, [report, report]) == []
    assert (report.host_memory, report.gpu_memory) == (host_memory(), gpu_memory())


def test_a_slot_is_a_share_of_the_machine() -> None:
    whole = slot_here("cpu", 1.0)
    assert whole.memory == host_memory() > 2**28
    assert slot_here("cpu", 0.25, at_once=4) == Slot("cpu", whole.memory // 4, 4)
    assert slot_here("cuda", 0.5).memory == gpu_memory() // 2
