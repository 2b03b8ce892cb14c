"""A sweep is told in its first minute what cannot work, everything at once, and what will never run is left out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger import Ledger
from experiments.ledger.record import Record, commit
from experiments.preflight import Slot, preflight, record_impossible
from experiments.preparation import open_sources, survey
from experiments.sweep import load_sweep
from utils.errors import Problem, UserError

SHIPPED = Path(__file__).parents[3] / "sweeps" / "encoders.yaml"
# Dilation cannot replace the halving of a pooling layer.
HALF_IMPOSSIBLE = "search: {grid: {model.encoder: [tu-test_resnet, vgg11], model.decoder: [unet, deeplabv3]}}\n"


def names_of(planned: Any, ids: Any) -> list[str]:
    return [one.configuration.name for one in planned.configurations if one.id in ids]


def test_a_sweep_that_can_run_has_nothing_against_it(plan: Any) -> None:
    planned = plan("search: {grid: {training.lr: [0.1, 0.2]}}\n")
    found = planned.check()
    assert (found.problems, found.warnings, dict(found.impossible)) == ((), (), {})
    assert set(found.memory) == {one.id for one in planned.configurations}
    found.raise_on_problems(skip_impossible=False)
    assert planned.stages[0] == ("Checking 2 networks", 0, 2)
    assert planned.stages[-1] == ("Checking 2 networks", 2, 2)
    assert not list(planned.results.iterdir()), "what is tried leaves nothing behind"


def test_what_can_never_run_is_named_with_its_reason(plan: Any) -> None:
    planned = plan(HALF_IMPOSSIBLE)
    found = planned.check()
    [id] = found.impossible
    assert names_of(planned, [id]) == [found.names[id]]
    assert "vgg11" in found.names[id]
    assert "deeplabv3" in found.names[id]
    assert "output stride 8" in found.impossible[id]
    assert len(found.memory) == 3, "the others' memory is known"
    with pytest.raises(UserError, match="--skip-impossible") as caught:
        found.raise_on_problems(skip_impossible=False)
    assert found.names[id] in caught.value.problems[0].where
    found.raise_on_problems(skip_impossible=True)


def test_all_findings_come_at_once(plan: Any, tmp_path: Path) -> None:
    planned = plan(HALF_IMPOSSIBLE)
    (tmp_path / "results").write_text("a file in the way")
    found = planned.check(found=[Problem("model.encoder_weights", "cannot be had")])
    with pytest.raises(UserError) as caught:
        found.raise_on_problems(skip_impossible=False)
    places = [problem.where for problem in caught.value.problems]
    assert places[:2] == ["model.encoder_weights", "--results"]
    assert places[2].startswith("configuration ")
    with pytest.raises(UserError) as caught:
        found.raise_on_problems(skip_impossible=True)
    assert len(caught.value.problems) == 2


def test_runs_that_can_never_run_are_recorded_once_as_failed(plan: Any) -> None:
    planned = plan(HALF_IMPOSSIBLE)
    found = planned.check()
    [(id, reason)] = found.impossible.items()
    [one] = [each for each in planned.configurations if each.id == id]
    records = record_impossible(one, reason, planned.ledger)
    assert sorted(records) == [(id, 0), (id, 1), (id, 2)]
    assert planned.ledger.records(records) == records, "the ledger finds them sound"
    assert all(record.status == "failed" and "output stride 8" in record.error for record in records.values())
    assert len({record.seed for record in records.values()}) == 3
    assert record_impossible(one, reason, planned.ledger) == {}
    again = planned.check()
    assert not again.impossible, "what has ended is not checked again"
    planned.ledger.forget_failure(id, 1)
    assert id in planned.check().impossible, "but it is when its runs are to be repeated"
    assert list(record_impossible(one, reason, planned.ledger)) == [(id, 1)]


@pytest.mark.slow
def test_memory_that_will_not_suffice_is_a_warning_with_a_remedy(plan: Any) -> None:
    planned = plan("", "training.batch_size=512")
    peak = planned.check().memory[planned.configurations[0].id]
    tight = Slot("cpu", 900 * 2**20)
    assert tight.lacks(peak) > 0
    [warning] = planned.check(tight).warnings
    assert "with batches of 512" in str(warning)
    fitting = int(str(warning).split("training.batch_size ")[1].split()[0])
    assert 0 < fitting < 512
    smaller = plan("", f"training.batch_size={fitting}")
    assert not smaller.check(tight).warnings, "the remedy works"
    assert "not even a batch of one" in str(planned.check(Slot("cuda", 2**20)).warnings[0])
    assert not planned.check(Slot("cpu", 0)).warnings, "what nobody knows is nothing to warn of"


def test_a_full_disk_is_told_before_it_is_full(plan: Any) -> None:
    planned = plan("search: {grid: {training.lr: [0.1, 0.2]}}\n")
    assert not planned.check(free=10**10).warnings
    nothing = planned.check(free=1000)
    [problem] = nothing.problems
    assert problem.where == "--results"
    assert "the first runs alone need" in str(problem)
    [warning] = planned.check(free=_whole(planned) - 1).warnings
    assert "whole sweep" in str(warning)
    assert not planned.check(free=_whole(planned)).warnings


def _whole(planned: Any) -> int:
    """The fewest free bytes at which nothing is said."""
    low, high = 0, 10**10
    while low < high:
        middle = (low + high) // 2
        found = planned.check(free=middle)
        low, high = (middle + 1, high) if found.problems or found.warnings else (low, middle)
    return low


def test_a_configuration_that_has_been_in_training_is_not_tried_again(plan: Any) -> None:
    planned = plan()
    [one] = planned.configurations
    folder = planned.ledger.folder(one.id, 0)
    folder.mkdir(parents=True)
    (folder / "last.pt").write_bytes(bytes(3000))
    found = planned.check()
    assert found.memory == {}
    assert planned.stages == []


def test_a_finished_sweep_needs_nothing(plan: Any) -> None:
    planned = plan()
    [one] = planned.configurations
    for fold in range(one.folds):
        fields = {"code": "1", "data": "d", "split": "s", "seed": 1}
        commit(
            Record(sweep="tiny", configuration=one.id, fold=fold, status="complete", **fields),
            planned.ledger.folder(one.id, fold),
        )
    found = planned.check(Slot("cpu", 1), free=0)
    assert (found.problems, found.warnings, found.memory) == ((), (), {})


@pytest.mark.slow
def test_the_shipped_sweep_of_24_encoders_can_run(tmp_path: Path) -> None:
    overrides = ["dataset={name: phantom, options: {cases: 30, height: 64, width: 64}}", "model.encoder_weights=none"]
    sweep = load_sweep(SHIPPED, overrides)
    found = survey(sweep, open_sources(sweep, lambda stage, done, total: None))
    ledger = Ledger(tmp_path, sweep.name)
    started = time.monotonic()
    answer = preflight(found.planned, ledger, tmp_path, Slot("cpu", 2**40), lambda stage, done, total: None)
    print(f"{len(found.planned)} networks in {time.monotonic() - started:.1f} s")
    assert (answer.problems, dict(answer.impossible), len(answer.memory)) == ((), {}, 24)
