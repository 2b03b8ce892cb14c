"""Checkpoints that are not written after every epoch: what a kill costs, what a stop keeps, what results say."""

from __future__ import annotations

import errno
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.training.checkpoint import Keeper, Pace
from experiments.training.execution import Execution
from experiments.training.spec import RunSpec
from models.memory import LiveBytes

pytestmark = pytest.mark.slow

RARE = {"training.checkpoint_overhead": 1e-9, "training.epochs": 6}
"""Never due before the end."""
RESULTS = ("best.pt", "cases.csv")


def undisturbed(bench: Any, folder: Path, changes: dict[str, Any] | None = None) -> RunSpec:
    spec: RunSpec = bench.spec(folder, RARE | (changes or {}))
    bench.execute(spec)
    return spec


def test_results_do_not_depend_on_how_often_it_is_written(bench: Any, tmp_path: Path) -> None:
    rare = undisturbed(bench, tmp_path / "rare")
    often: RunSpec = bench.spec(tmp_path / "often", RARE | {"training.checkpoint_overhead": 1.0})
    often = replace(often, configuration=rare.configuration)
    bench.execute(often)
    for name in RESULTS:
        assert (rare.folder / name).read_bytes() == (often.folder / name).read_bytes(), name
    assert bench.epochs(rare) == bench.epochs(often)
    ours, theirs = bench.record(rare), bench.record(often)
    assert ours.pop("settings") != theirs.pop("settings") and ours == theirs


@pytest.mark.parametrize("epochs", [1, 3, 5])
def test_a_stop_between_epochs_keeps_them_all(bench: Any, tmp_path: Path, epochs: int) -> None:
    spec, whole = bench.spec(tmp_path / "stopped", RARE), undisturbed(bench, tmp_path / "whole")
    execution = Execution(spec)
    for _ in range(epochs):
        execution.step()
    assert not (spec.folder / "last.pt").exists() and not (spec.folder / "best.pt").exists()
    execution.close()
    again = bench.open(spec)
    assert len(again.history) == epochs
    bench.execute(spec)
    assert (spec.folder / "best.pt").read_bytes() == (whole.folder / "best.pt").read_bytes()
    assert bench.record(spec) == bench.record(whole) and bench.epochs(spec) == bench.epochs(whole)


def test_a_kill_costs_the_epochs_since_the_last_one(bench: Any, tmp_path: Path) -> None:
    spec, whole = bench.spec(tmp_path / "killed", RARE), undisturbed(bench, tmp_path / "whole")
    run = bench.open(spec)
    run.step()
    run.step()
    run.keep()
    run.step()
    run.step()
    del run  # as after a kill: nobody keeps anything
    assert len(bench.open(spec).history) == 2
    bench.execute(spec)
    assert (spec.folder / "best.pt").read_bytes() == (whole.folder / "best.pt").read_bytes()
    assert bench.record(spec) == bench.record(whole) and bench.epochs(spec) == bench.epochs(whole)


def test_an_epoch_that_is_broken_off_is_not_kept(bench: Any, tmp_path: Path) -> None:
    """The network has moved on from what the history says."""
    spec = bench.spec(tmp_path, RARE)
    execution = Execution(spec)
    execution.step()
    run = execution._run
    assert run is not None

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    run.loss.register_forward_hook(lambda *_: signal.raise_signal(signal.SIGALRM))
    try:
        with pytest.raises(KeyboardInterrupt):
            execution.step()
    finally:
        signal.signal(signal.SIGALRM, before)
    execution.close()
    assert not (spec.folder / "last.pt").exists()


def test_a_better_network_takes_the_room_of_the_one_that_waited(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, {}, torch.device("cpu"), Pace(1e-9, 1))
    network = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.BatchNorm1d(512))
    sizes = []
    with LiveBytes() as live, torch.no_grad():
        for epoch in (1, 2, 3):
            for value in network.state_dict().values():
                value.fill_(epoch)
            keeper.set_best(network, epoch)
            sizes.append(live.peak)
            network[0].weight.fill_(9)
    assert sizes[0] > 1e6 and sizes[1:] == sizes[:1] * 2
    keeper.write({"history": []})
    best = keeper.best()
    assert best is not None and best["epoch"] == 3
    assert {float(value.float().mean()) for value in best["network"].values()} == {3.0}


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """A file-size limit of the process, which is a disk that is full for what is larger."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_there_was_stays_while_there_is_no_room(bench: Any, tmp_path: Path) -> None:
    """best.pt fits and last.pt, with the optimizer's state, does not, twice: the older pair is still one."""
    adam = {"training.optimizer": "adamw", "objective.metric": "pixel_accuracy", "training.segmentation_loss": "bce"}
    spec, whole = bench.spec(tmp_path / "full", RARE | adam), undisturbed(bench, tmp_path / "whole", adam)
    run = bench.open(spec)
    run.step()
    run.keep()
    kept = run.best[1]
    while run.best[1] == kept:
        run.step()
    room = (spec.folder / "best.pt").stat().st_size + 4096
    assert room < (spec.folder / "last.pt").stat().st_size, "the limit must lie between the two"
    with no_file_above(room):
        for _ in range(2):
            with pytest.raises(OSError) as caught:
                run.keep()
            assert caught.value.errno == errno.EFBIG
    again = bench.open(spec)
    assert (len(again.history), again.best[1]) == (kept, kept)
    bench.execute(spec)
    assert (spec.folder / "best.pt").read_bytes() == (whole.folder / "best.pt").read_bytes()
    assert bench.epochs(spec) == bench.epochs(whole) and not (spec.folder / "previous.pt").exists()
