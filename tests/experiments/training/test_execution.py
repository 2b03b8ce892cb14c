"""From a spec to a record that is written once, whatever happens on the way."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import Timeout

from experiments.ledger import RunLock
from experiments.ledger.record import read, seal
from experiments.sweep import Settings
from experiments.training.batches import Batches, CaseDataset
from experiments.training.evaluation import evaluate
from experiments.training.execution import Execution
from experiments.training.network import build_network, network_cost
from experiments.training.spec import RunSpec
from utils.metrics import metric_names

REPOSITORY = Path(__file__).parents[3]


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_progress_epoch_by_epoch(bench: Any, tmp_path: Path) -> None:
    execution = Execution(bench.spec(tmp_path, {"training.epochs": 2}))
    first, second = execution.step(), execution.step()
    assert (first.epoch, first.epochs, first.ended) == (1, 2, False)
    assert (second.epoch, second.ended) == (2, True)
    objectives = [float(row["validation_dice"]) for row in bench.epochs(execution.spec)]
    assert [first.objective, second.objective] == pytest.approx(objectives)
    execution.close()  # twice does no harm


def test_a_complete_record(bench: Any, finished: RunSpec) -> None:
    record = read(finished.folder)  # raises if a sealed file is not what it was
    assert record is not None and record.status == "complete" and record.error == ""
    assert (record.sweep, record.configuration, record.fold) == ("tiny", finished.configuration, 0)
    assert (record.code, record.data, record.split, record.seed) == ("1.0.0", "d" * 12, "e" * 12, finished.seed)
    assert record.settings == finished.settings
    assert set(record.metrics) == set(metric_names())
    assert record.epochs == 2 and record.adjustments == ()
    epochs = bench.epochs(finished)
    assert [row["epoch"] for row in epochs] == ["1", "2"]
    best = max(epochs, key=lambda row: float(row["validation_dice"]))
    assert record.best_epoch == int(best["epoch"])
    assert record.validation == pytest.approx(float(best["validation_dice"]), rel=1e-8)
    assert record.device.startswith("cpu: ") and len(record.device) > 5
    assert record.versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert record.started < record.finished
    assert record.train_seconds > 0 and record.inference_ms and record.peak_memory_mb and record.peak_memory_mb > 100


def test_the_sealed_files_and_no_others(finished: RunSpec) -> None:
    record = read(finished.folder)
    assert record is not None
    assert record.files == {name: seal(finished.folder / name) for name in ("epochs.csv", "cases.csv", "best.pt")}
    kept = {path.name for path in finished.folder.iterdir()}
    # last.pt is for going on, and there is nothing to go on with.
    assert kept - {"run.lock"} == {"record.json", "epochs.csv", "cases.csv", "best.pt", "attempts.csv"}


def test_the_numbers_are_those_of_the_sealed_checkpoint(bench: Any, finished: RunSpec) -> None:
    network = build_network(Settings.model_validate(finished.settings).model, 3)
    state = torch.load(finished.folder / "best.pt", weights_only=True)
    network.load_state_dict(state["network"])
    positions = [bench.cache.index(case) for case in bench.fold.test]
    batches = Batches(CaseDataset(bench.cache, positions), 4, torch.device("cpu"))
    expected = evaluate(network, batches, bench.cache, native=True).metrics
    record = read(finished.folder)
    assert record is not None
    assert record.metrics == pytest.approx(expected)
    assert record.params_millions == pytest.approx(sum(value.numel() for value in network.parameters()) / 1e6)
    with (finished.folder / "cases.csv").open() as file:
        assert [row["case"] for row in csv.DictReader(file)] == sorted(bench.fold.test)


def test_a_run_with_a_record_ends_at_once(bench: Any, finished_copy: RunSpec) -> None:
    before = content(finished_copy.folder)
    execution = Execution(finished_copy)
    progress = execution.step()
    assert progress.ended and progress.epoch == 0
    assert content(finished_copy.folder) == before
    assert len((finished_copy.folder / "attempts.csv").read_text().splitlines()) == 2


def test_a_failed_run_is_not_repeated_by_itself(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, weights=tmp_path / "missing.pt")
    assert bench.execute(spec).ended
    before = content(tmp_path)
    assert bench.execute(spec).ended
    assert content(tmp_path) == before


def test_a_network_that_cannot_be_built_is_a_failed_record(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, weights=tmp_path / "missing.pt")
    progress = bench.execute(spec)
    assert progress.ended and progress.objective is None
    record = read(tmp_path)
    assert record is not None and record.status == "failed"
    assert "missing.pt" in record.error and "\n" not in record.error
    assert (record.epochs, record.metrics, record.files) == (0, {}, {})
    assert record.device.startswith("cpu: ") and record.seed == spec.seed
    trace = (tmp_path / "error.txt").read_text()
    assert trace.startswith("Traceback") and "missing.pt" in trace and "build_network" in trace
    assert not (tmp_path / "attempts.csv").exists(), "nothing was attempted"


def test_missing_data_is_a_failed_record(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path / "run", cache=tmp_path / "nowhere")
    bench.execute(spec)
    record = read(spec.folder)
    assert record is not None and record.status == "failed" and "nowhere" in record.error


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_a_failed_record(bench: Any, tmp_path: Path) -> None:
    bench.execute(bench.spec(tmp_path, device="cuda"))
    record = read(tmp_path)
    assert record is not None and record.status == "failed"
    assert record.device == "cuda" and record.error


def test_the_lock_is_given_back_after_success_and_failure(bench: Any, tmp_path: Path, finished: RunSpec) -> None:
    failing = bench.spec(tmp_path, weights=tmp_path / "missing.pt")
    bench.execute(failing)
    for folder in (failing.folder, finished.folder):
        lock = RunLock(folder, patience=0)
        lock.acquire()
        lock.release()


HOLDER = """
import sys, time
from pathlib import Path
from experiments.ledger.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_run_that_another_process_holds_is_waited_for(bench: Any, tmp_path: Path, finished: RunSpec) -> None:
    spec = replace(finished, folder=tmp_path)
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            impatient = RunLock(tmp_path, patience=0.2)
            started = time.monotonic()
            with pytest.raises(Timeout):
                impatient.acquire()
            assert time.monotonic() - started >= 0.2
            # An orphan is killed while the next worker waits; the kernel gives its lock away.
            subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
            execution = Execution(spec)
            assert not execution.step().ended
            assert holder.wait(5) == -9, "trained while another process had the run"
            execution.close()
        finally:
            holder.kill()
    bench.execute(spec)
    assert bench.record(spec) == bench.record(finished)


def test_a_record_holds_nothing_but_results(bench: Any, tmp_path: Path, finished: RunSpec) -> None:
    """Of two runs alike everything is alike but what a clock or a memory meter had a hand in."""
    other = replace(finished, folder=tmp_path)
    bench.execute(other)
    ours, theirs = bench.record(other), bench.record(finished)
    assert ours == theirs
    assert set(ours["files"]) == {"cases.csv", "best.pt"} and len(ours) > 15
    whole = json.loads((tmp_path / "record.json").read_text())
    assert whole["started"] != json.loads((finished.folder / "record.json").read_text())["started"]


def test_a_record_has_the_cost_that_is_counted_before_anything_runs(bench: Any, finished: RunSpec) -> None:
    settings, record = Settings.model_validate(finished.settings), bench.record(finished)
    cost = network_cost(settings.model, len(bench.cache.classes), settings.dataset.height_width)
    assert (record["params_millions"], record["gflops"]) == cost


def test_the_cost_of_a_network_is_counted_once(bench: Any, tmp_path: Path) -> None:
    model = Settings.model_validate(bench.spec(tmp_path).settings).model
    cost = network_cost(model, 3, (32, 32))
    assert network_cost(model, 3, (32, 32)) is cost
    assert network_cost(model, 3, (64, 64)).gflops == pytest.approx(4 * cost.gflops, rel=0.05)
