from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.opened import OpenedSweep, open_sweep
from experiments.sweep import load_sweep
from experiments.tracking import TRACKERS, TrackedRun, Tracker
from experiments.tracking.mirror import Mirror, mirrored
from experiments.tracking.results import tracked_sweep
from utils.errors import UserError

# What a dashboard shows: title -> (final Dice or None, number of epochs).
Shown = dict[str, tuple[float | None, int]]


def runs_of(opened: OpenedSweep) -> list[TrackedRun]:
    names = {one.id: one.configuration.name for one in opened.planned}
    return [TrackedRun(names[run[0]], record, opened.ledger.folder(*run)) for run, record in opened.records.items()]


def expected(opened: OpenedSweep) -> Shown:
    return {run.title: (run.metrics.get("test_dice"), len(run.epochs())) for run in runs_of(opened)}


def shown_by_tensorboard(results: Path, uri: str) -> Shown:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: Shown = {}
    for folder in sorted(results.glob("tensorboard/made/*-fold-*/*")):
        events = EventAccumulator(str(folder)).Reload()
        tags = events.Tags()["scalars"]
        name, fold = folder.parent.name.split("-")[0], folder.parent.name[-1]
        dice = events.Scalars("final/test_dice")[0].value if "final/test_dice" in tags else None
        curve = events.Scalars("validation_dice") if "validation_dice" in tags else []
        title = f"{name}, fold {fold}"
        assert title not in found
        found[title] = (dice, len({point.step for point in curve}) if len(curve) < 4 else -1)
    return found


def shown_by_mlflow(results: Path, uri: str) -> Shown:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri or f"sqlite:///{results / 'mlflow.db'}")
    found: Shown = {}
    for run in client.search_runs([client.get_experiment_by_name("made").experiment_id]):
        assert run.info.status != "RUNNING"
        if run.data.tags["sweep.place"] == "leaderboard":
            continue
        assert run.info.run_name not in found
        if run.data.params:
            assert run.data.params["dataset.name"] == "phantom"
        curve = client.get_metric_history(run.info.run_id, "validation_dice")
        found[run.info.run_name] = (run.data.metrics.get("test_dice"), len(curve))
    return found


def close(one: Shown, other: Shown) -> bool:
    """Equal, but for what a dashboard rounds to single precision."""
    pairs = [(one[title], other[title]) for title in one] if one.keys() == other.keys() else []
    return bool(pairs) and all(
        count == others and (dice is None) == (wanted is None) and (dice is None or abs(dice - wanted) < 1e-6)
        for (dice, count), (wanted, others) in pairs
    )


SHOWN: dict[str, Callable[[Path, str], Shown]] = {"tensorboard": shown_by_tensorboard, "mlflow": shown_by_mlflow}


@pytest.fixture(params=SHOWN)
def tracker(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Callable[[Path, str], Shown]]:
    """Name of an installed tracker, and what reads what it shows."""
    pytest.importorskip(request.param)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return request.param, SHOWN[request.param]


def show(name: str, opened: OpenedSweep, said: list[str], **options: Any) -> None:
    """What the driver does with a sweep whose runs have all ended."""
    mirror = Mirror(name, TRACKERS[name](**options), "made", opened.results, said.append)
    for run in runs_of(opened)[:2]:
        mirror.ended(run.name, run.record, run.folder)
    mirror.conclude(opened)
    mirror.close()


def test_every_run_is_shown_once_however_often_the_command_is_given(tracker: Any, opened: OpenedSweep) -> None:
    name, shown = tracker
    said: list[str] = []
    show(name, opened, said)
    first = shown(opened.results, "")
    assert close(first, expected(opened)) and len(first) == 4
    show(name, opened, said)
    assert shown(opened.results, "") == first
    assert said == []


def test_what_was_broken_off_and_what_was_repeated_is_replaced(tracker: Any, opened: OpenedSweep) -> None:
    name, shown = tracker
    run, *_ = runs_of(opened)
    written: Tracker = TRACKERS[name]()
    written.open("made", opened.results)
    written.write(run)
    again = replace(run, record=run.record.model_copy(update={"finished": "later"}))
    written.write(again)
    assert written.known() == {again.identity} != {run.identity}
    assert close(shown(opened.results, ""), {run.title: expected(opened)[run.title]})


def test_mlflow_has_figures_tables_and_the_winners_networks(opened: OpenedSweep) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    (opened.results / "figures" / "made").mkdir(parents=True)
    (opened.results / "figures" / "made" / "leaderboard.png").write_bytes(b"a picture")
    show("mlflow", opened, [])
    client = MlflowClient(tracking_uri=f"sqlite:///{opened.results / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("made").experiment_id
    [run] = client.search_runs([experiment], "tags.`sweep.place` = 'leaderboard'")
    assert run.data.params["winner"] == "good" and 0.7 < run.data.metrics["test_dice_mean"] < 0.9
    names = [item.path for item in client.list_artifacts(run.info.run_id)]
    assert names == ["figures", "made.csv", "model"]
    network = client.download_artifacts(run.info.run_id, "model/fold-1/best.pt")
    assert Path(network).read_bytes() == b"network of fold 1"


@pytest.mark.slow
def test_wandb_writes_its_files_offline_and_once(opened: OpenedSweep, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    said: list[str] = []
    show("wandb", opened, said)
    files = sorted(opened.results.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 5, "four runs and what they have come to"
    assert said == []
    show("wandb", opened, said)
    assert sorted(opened.results.glob("wandb/offline-run-*/run-*.wandb")) == files
    ids = {path.stem.removeprefix("run-") for path in files}
    assert {run.identity for run in runs_of(opened)} < ids


class Closed:
    """A tracker that opens at an attempt of a given number, and keeps what it is given."""

    package = "closed"

    def __init__(self, opens_at: int) -> None:
        self._left, self.concluded = opens_at, 0
        self.shown: dict[str, str] = {}

    def open(self, sweep: str, results: Path) -> None:
        self._left -= 1
        if self._left > 0:
            raise OSError("nobody answers")

    def known(self) -> set[str]:
        return set(self.shown)

    def write(self, run: TrackedRun) -> None:
        self.shown[run.identity] = run.title

    def conclude(self, sweep: Any) -> None:
        self.concluded += 1


@pytest.mark.parametrize(("opens_at", "warnings"), [(1, 0), (2, 1), (99, 2)])
def test_what_cannot_be_opened_is_tried_again_at_the_end_and_then_left(
    opened: OpenedSweep, opens_at: int, warnings: int
) -> None:
    said: list[str] = []
    tracker = Closed(opens_at)
    mirror = Mirror("closed", tracker, "made", opened.results, said.append)
    for run in runs_of(opened):
        mirror.ended(run.name, run.record, run.folder)
    mirror.conclude(opened)  # returns, whether or not anybody answers
    mirror.close()
    assert len(said) == warnings and all("OSError: nobody answers" in text for text in said)
    there = opens_at < 99
    assert sorted(tracker.shown.values()) == (sorted(expected(opened)) if there else [])
    assert tracker.concluded == there


@pytest.fixture
def address() -> str:
    """Of this machine, where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.slow
def test_a_server_out_of_reach_is_a_warning_and_gets_everything_later(
    opened: OpenedSweep, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said: list[str] = []
    show("mlflow", opened, said, uri=address)
    assert len(said) == 2 and all(text.startswith("tracking: mlflow could not be written: ") for text in said)
    assert all("the sweep is none the worse for it" in text for text in said)
    with server(address, tmp_path):
        said.clear()
        show("mlflow", opened, said, uri=address)
        assert said == []
        assert close(shown_by_mlflow(opened.results, address), expected(opened))
        show("mlflow", opened, said, uri=address)
        assert close(shown_by_mlflow(opened.results, address), expected(opened))


class server:
    """A real tracking server for the time of a with block."""

    def __init__(self, address: str, folder: Path) -> None:
        store = f"sqlite:///{folder / 'server.db'}"
        port = address.rpartition(":")[2]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
        command += [
            "--backend-store-uri",
            store,
            "--artifacts-destination",
            str(folder / "artifacts"),
            "--workers",
            "1",
        ]
        self._process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._address = address

    def __enter__(self) -> None:
        import requests

        end = time.monotonic() + 240
        while time.monotonic() < end:
            assert self._process.poll() is None, "the server has ended"
            try:
                if requests.get(f"{self._address}/health", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise AssertionError("the server does not answer")

    def __exit__(self, *error: object) -> None:
        os.killpg(self._process.pid, 15)
        self._process.wait(30)


def test_a_missing_package_is_said_with_pips_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in set(TRACKERS) - {"none"}:
        with pytest.raises(UserError, match=rf"tracking: needs a package .*: pip install '{name}' "):
            TRACKERS[name]()


def test_without_a_tracker_nothing_is_started_and_nothing_said(opened: OpenedSweep) -> None:
    said: list[str] = []
    before = sorted(opened.results.rglob("*"))
    with mirrored(opened.sweep, opened.results, said.append) as mirror:
        for run in runs_of(opened):
            mirror.ended(run.name, run.record, run.folder)
        mirror.conclude(opened)
    assert said == [] and sorted(opened.results.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [("mlflow", "mlflow", {"uri": None}), ("{mlflow: {uri: 'http://a'}}", "mlflow", {"uri": "http://a"})],
)
def test_it_is_one_line_of_the_sweep_file(text: str, name: str, options: Any, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"name: s\ndataset: {{name: phantom}}\ntracking: {text}\n", encoding="utf-8")
    tracking = load_sweep(file).tracking
    assert (tracking.name, dict(tracking.options)) == (name, options)


def test_a_tracker_that_is_none_is_a_problem_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("name: s\ndataset: {name: phantom}\ntracking: mlfow\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"s\.yaml:3.*no such tracker; got 'mlfow'; did you mean 'mlflow'"):
        load_sweep(file)


def test_a_sweep_without_a_rank_has_come_to_nothing(finished_sweep: Any, tmp_path: Path) -> None:
    sweep = finished_sweep({"bad": None})
    assert tracked_sweep(open_sweep(sweep, tmp_path / "results", lambda stage, done, total: None)) is None
