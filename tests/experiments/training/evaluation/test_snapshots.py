"""What a run drew after each epoch: kept in a file of plain arrays, the same however often the run was interrupted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.training.evaluation import SNAPSHOTS, Snapshots
from experiments.training.evaluation.snapshots import cases_to_show

CHANGES = {"training.epochs": 3, "training.snapshots": 2}


def test_a_run_keeps_the_first_cases_with_a_lesion_after_every_epoch(bench: Any, tmp_path: Path) -> None:
    spec = bench.spec(tmp_path, CHANGES)
    bench.execute(spec)
    kept = Snapshots.read(tmp_path / SNAPSHOTS)
    assert kept is not None and kept.epochs == (1, 2, 3)
    with_lesion = [case for case in bench.fold.validation if bench.cache.masks[bench.cache.index(case)].any()]
    assert kept.cases == tuple(with_lesion[:2])
    assert kept.maps.shape == (3, 2, 32, 32) and kept.maps.dtype == np.uint8
    assert (kept.maps[0] != kept.maps[2]).any(), "the network has learnt nothing"
    assert cases_to_show(bench.cache, [23, 0, 1], 9) == [0, 1], "a normal case has nothing to draw"


def test_keeping_them_changes_no_result(bench: Any, tmp_path: Path, finished: Any) -> None:
    spec = bench.spec(tmp_path, {"training.epochs": 2, "training.snapshots": 2})
    spec = replace(spec, configuration=finished.configuration)
    bench.execute(spec)
    assert (tmp_path / "cases.csv").read_bytes() == (finished.folder / "cases.csv").read_bytes()
    assert bench.record(spec)["metrics"] == bench.record(finished)["metrics"]
    assert not (finished.folder / SNAPSHOTS).exists()


def test_an_interrupted_run_keeps_the_same(bench: Any, tmp_path: Path) -> None:
    undisturbed, spec = bench.spec(tmp_path / "undisturbed", CHANGES), bench.spec(tmp_path / "interrupted", CHANGES)
    bench.train(undisturbed)
    bench.open(spec).step()
    before = shutil.copy(spec.folder / "last.pt", tmp_path / "last.pt")
    bench.open(spec).step()
    shutil.copy(before, spec.folder / "last.pt")  # killed after the snapshots were written and before last.pt was
    bench.train(spec)
    assert (spec.folder / SNAPSHOTS).read_bytes() == (undisturbed.folder / SNAPSHOTS).read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", "objects", "other arrays"])
def test_a_damaged_file_costs_no_run(bench: Any, tmp_path: Path, content: Any) -> None:
    spec = bench.spec(tmp_path, CHANGES)
    bench.open(spec).step()
    path = tmp_path / SNAPSHOTS
    if content == "objects":
        np.savez(path, cases=np.array([{}], dtype=object), epochs=np.array([1]), maps=np.zeros((1, 1, 2, 2), np.uint8))
    elif content == "other arrays":
        np.savez(path, cases=np.array(["a"]), epochs=np.array([1]), maps=np.zeros((5, 2), np.uint8))
    else:
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="going on without it"):
        run = bench.open(spec)
    assert len(run.history) == 1
    run.step()
    kept = Snapshots.read(path)
    assert kept is not None and kept.epochs == (2,)
