"""What a run's record says of where its seconds went."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.ledger.record import read
from experiments.training.execution import Execution
from experiments.training.history.clock import PHASES
from experiments.training.spec import RunSpec
from utils.identity import digest

TO_GO_ON = {"network", "optimizer", "learning_rate", "scaler"}


def last(spec: RunSpec) -> dict[str, Any]:
    return torch.load(spec.folder / "last.pt", weights_only=True)


def rewritten(folder: Path, **changes: Any) -> None:
    """The record with other values, None for a key that goes, and the right checksum."""
    path = folder / "record.json"
    content = {**json.loads(path.read_text()), **changes}
    content = {key: value for key, value in content.items() if value is not None and key != "checksum"}
    path.write_text(json.dumps({**content, "checksum": digest(content, 64)}))


def test_every_second_of_an_epoch_is_in_some_phase(finished: RunSpec) -> None:
    record = read(finished.folder)
    assert record is not None and record.spent is not None
    assert list(record.spent) == list(PHASES) and all(seconds >= 0 for seconds in record.spent.values())
    assert sum(record.spent.values()) >= record.train_seconds - 0.01, "rounded to milliseconds"


def test_start_up_begins_when_a_worker_takes_the_run(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, {"training.epochs": 1}, taken=time.perf_counter() - 1_000)
    bench.execute(spec)
    record = read(tmp_path)
    assert record is not None and record.spent is not None
    assert record.spent["start_up"] >= 1_000 > sum(record.spent.values()) - record.spent["start_up"]


def test_a_resumed_run_carries_on_with_the_account(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, {"training.epochs": 2})
    first = Execution(spec)
    first._clock.add({"training": 500.0, "start_up": 300.0})
    first.step()
    first.close()
    before = last(spec)["spent"]
    assert before["training"] >= 500
    bench.execute(spec)
    record = read(tmp_path)
    assert record is not None and record.spent is not None
    assert all(record.spent[phase] >= seconds for phase, seconds in before.items())
    assert record.spent["training"] < 1_000, "taken over once"


def test_what_older_code_left_is_gone_on_with(bench: Any, tmp_path: Path, finished: RunSpec) -> None:
    spec = replace(finished, folder=tmp_path)
    first = Execution(spec)
    first.step()
    first.close()
    state = last(spec)
    del state["spent"]
    torch.save(state, tmp_path / "last.pt")
    bench.execute(spec)
    assert (tmp_path / "attempts.csv").read_text().splitlines()[-1].endswith(",2")
    assert bench.record(spec) == bench.record(finished)


def test_a_record_from_before_the_account_is_still_right(finished_copy: RunSpec) -> None:
    rewritten(finished_copy.folder, spent=None)
    record = read(finished_copy.folder)
    assert record is not None and record.spent is None and record.train_seconds > 0


def test_a_failed_run_has_its_account_too(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, cache=tmp_path / "nowhere", taken=time.perf_counter())
    bench.execute(spec)
    record = read(tmp_path)
    assert record is not None and record.status == "failed" and record.spent is not None
    assert set(record.spent) == {"start_up", "writing"}


def test_nothing_is_written_that_the_best_checkpoint_has(bench: Any, tmp_path: Path) -> None:
    killed, undisturbed = (bench.spec(tmp_path / name, {"training.epochs": 4}) for name in ("killed", "undisturbed"))
    run = bench.open(killed)
    written = []
    while not run.done:
        run.step()
        written.append((run.best[1] == len(run.history), TO_GO_ON & set(last(killed))))
    assert written[0] == (True, TO_GO_ON - {"network"}) and written[-1][1] == set()
    assert all(parts == TO_GO_ON - ({"network"} if best else set()) for best, parts in written[:-1])
    for spec in (killed, undisturbed):
        bench.execute(spec)
    assert (killed.folder / "attempts.csv").read_text().splitlines()[-1].endswith(",5")
    assert bench.record(killed) == bench.record(undisturbed)
    assert bench.epochs(killed) == bench.epochs(undisturbed)


def test_a_fold_takes_the_cost_of_its_network_from_another(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path / "fold-0", {"training.epochs": 1})
    bench.execute(spec)
    counted = read(spec.folder)
    assert counted is not None and counted.gflops is not None
    rewritten(spec.folder, gflops=counted.gflops + 1, fold=1)
    (tmp_path / "fold-2").mkdir()
    (tmp_path / "fold-2" / "record.json").write_text("damaged")
    again = replace(spec, folder=tmp_path / "fold-1")
    bench.execute(again)
    taken = read(again.folder)
    assert taken is not None
    assert (taken.gflops, taken.params_millions) == (counted.gflops + 1, counted.params_millions)
