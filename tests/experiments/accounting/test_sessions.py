from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from experiments.accounting.energy import joules_so_far
from experiments.accounting.sessions import SESSIONS_FILE, Session, SessionLog, read_sessions


class Meter:
    """A clock, or a counter of energy, that is set by hand."""

    def __init__(self) -> None:
        self.value = 100.0

    def __call__(self) -> float:
        return self.value


@pytest.fixture
def clock() -> Meter:
    return Meter()


def log(folder: Path, clock: Meter, energy: Any = lambda: None) -> SessionLog:
    return SessionLog(folder, clock, energy)


def test_a_session_lasts_from_its_first_run_to_the_end_of_its_last(tmp_path: Path, clock: Meter) -> None:
    session = log(tmp_path, clock)
    session.slots = 4
    for moment, what, run in [(100, "started", 1), (130, "started", 2), (140, "left", 1), (150, "left", 2)]:
        clock.value = moment
        getattr(session, what)(run)
    clock.value = 500
    session.close()
    [found] = read_sessions(tmp_path)
    assert (found.seconds, found.slots, found.joules) == (50.0, 4, None)
    assert found.began.endswith("+00:00")


def test_one_of_a_killed_driver_ends_where_a_run_was_last_heard_of(tmp_path: Path, clock: Meter) -> None:
    session = log(tmp_path, clock)
    session.started(1)
    assert [each.seconds for each in read_sessions(tmp_path)] == [0.0], "noted from the first moment on"
    for moment in (103, 120, 125):
        clock.value = moment
        session.heard()
    assert [each.seconds for each in read_sessions(tmp_path)] == [20.0], "not written for every epoch"
    clock.value = 1_000
    again = log(tmp_path, clock)
    again.started(1)
    clock.value = 1_007
    again.left(1)
    again.close()
    assert [each.seconds for each in read_sessions(tmp_path)] == [20.0, 7.0]


def test_more_runs_at_once_than_there_should_be_are_slots_too(tmp_path: Path, clock: Meter) -> None:
    session = log(tmp_path, clock)
    session.slots = 2
    for run in (1, 2, 3):
        session.started(run)
    session.left(3)
    session.close()
    assert read_sessions(tmp_path)[0].slots == 3


def test_a_command_that_runs_nothing_is_no_session(tmp_path: Path, clock: Meter) -> None:
    session = log(tmp_path, clock)
    session.left(1)
    session.close()
    assert read_sessions(tmp_path) == () and not (tmp_path / SESSIONS_FILE).exists()


def test_energy_is_the_difference_of_the_counter(tmp_path: Path, clock: Meter) -> None:
    energy = Meter()
    session = log(tmp_path, clock, energy)
    session.started(1)
    energy.value += 42.25
    session.left(1)
    session.close()
    assert read_sessions(tmp_path)[0].joules == 42.2


def test_energy_of_all_gpus_is_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of the form of ``nvidia-ml-py``, on a machine with two GPUs; it counts in millijoules."""
    nvml = ModuleType("pynvml")
    nvml.__spec__ = ModuleSpec("pynvml", None)
    nvml.NVMLError, nvml.NVMLError_NotSupported = OSError, PermissionError  # type: ignore[attr-defined]
    nvml.nvmlInit = nvml.nvmlShutdown = lambda: None  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetCount = lambda: 2  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetHandleByIndex = lambda index: index  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetTotalEnergyConsumption = [1_500, 2_000].__getitem__  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert joules_so_far() == 3.5
    nvml.nvmlDeviceGetCount = lambda: 0  # type: ignore[attr-defined]
    assert joules_so_far() is None

    def refuse(*given: Any) -> None:
        raise PermissionError

    nvml.nvmlDeviceGetCount = lambda: 2  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetTotalEnergyConsumption = refuse  # type: ignore[attr-defined]
    assert joules_so_far() is None, "too old to count"
    nvml.nvmlInit = refuse  # type: ignore[attr-defined]
    assert joules_so_far() is None, "no driver"


def test_without_the_library_there_is_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    assert joules_so_far() is None


@pytest.mark.parametrize("damaged", ["{", "[]", '{"began": "", "seconds": "1", "slots": 2}', '{"slots": 2}'])
def test_a_damaged_line_costs_its_session_only(tmp_path: Path, damaged: str) -> None:
    good = '{"began": "2025-01-01T00:00:00+00:00", "seconds": 5.0, "slots": 2, "joules": null}'
    (tmp_path / SESSIONS_FILE).write_text(f"{good}\n{damaged}\n{good}\n")
    with pytest.warns(UserWarning, match="no session"):
        assert read_sessions(tmp_path) == (Session("2025-01-01T00:00:00+00:00", 5.0, 2),) * 2
