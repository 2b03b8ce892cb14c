"""The search: draws in turns, written down before they run, the same again after any death of the driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.ledger import Ledger
from experiments.ledger.record import Record, commit
from experiments.preparation import PlannedConfiguration, open_sources, survey
from experiments.search import Search
from experiments.sweep import load_sweep
from utils.errors import UserError

TEXT = """\
name: s
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
model: {encoder: shufflenet_v2_x0_5, encoder_weights: none}
folds: {k: 3, use: 2}
search:
"""
GRID = """\
  grid: {training.optimizer: [adamw, sgd]}
  space: {training.lr: {log_uniform: [1.0e-5, 1.0e-3]}, training.batch_size: {choice: [8, 16]}}
  samples: 6
"""
FINITE = """\
  space: {training.batch_size: {choice: [8, 16, 32]}, training.warmup_epochs: {int: [0, 2]}}
  samples: 9
"""

Start = Callable[..., tuple[Search, Ledger]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A search as a new driver finds it."""

    def start(text: str = GRID, *overrides: str, results: str = "results") -> tuple[Search, Ledger]:
        path = tmp_path / "s.yaml"
        path.write_text(TEXT + text, encoding="utf-8")
        sweep = load_sweep(path, overrides)
        ledger = Ledger(tmp_path / results, "s")
        found = survey(sweep, open_sources(sweep, lambda stage, done, total: None))
        return Search(sweep, found, ledger), ledger

    return start


def write(ledger: Ledger, planned: PlannedConfiguration, fold: int, dice: float | None, failed: bool = False) -> None:
    """A run's record."""
    origin = {"code": "", "data": "", "split": "", "seed": 0}
    record = Record(
        sweep="s",
        configuration=planned.id,
        fold=fold,
        status="failed" if failed else "complete",
        metrics={"dice": dice},
        **origin,
    )
    commit(record, ledger.folder(planned.id, fold))


def drawn(search: Search) -> list[tuple[str, dict[str, object]]]:
    return [(planned.id, dict(planned.configuration.varied)) for planned in search.planned]


def completed(search: Search, ledger: Ledger, count: int) -> list[PlannedConfiguration]:
    """So many draws, each complete before the next one; the score falls with the learning rate."""
    made = []
    for _ in range(count):
        planned = search.draw()
        assert planned is not None
        for fold in range(planned.folds):
            write(ledger, planned, fold, 0.9 - 100 * planned.configuration.settings.training.lr)
        made.append(planned)
    return made


def test_every_template_gets_its_own_draws_in_turns(start: Start) -> None:
    search, ledger = start()
    assert (search.left, search.runs_left) == (12, 24)
    made = completed(search, ledger, 12)
    assert search.draw() is None and (search.left, search.runs_left) == (0, 0)
    assert [planned.configuration.settings.training.optimizer for planned in made] == ["adamw", "sgd"] * 6
    assert len({planned.id for planned in made}) == 12
    assert [p.configuration.name.partition(":")[0] for p in made[:4]] == ["adamw #1", "sgd #1", "adamw #2", "sgd #2"]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_driver_that_dies_anywhere_asks_nothing_twice_and_the_next_one_asks_the_same(
    start: Start, sampler: str
) -> None:
    undisturbed, ledger = start(GRID, f"search.sampler={sampler}")
    completed(undisturbed, ledger, 12)
    lines = (ledger.root / "proposals.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 12
    for kept in (0, 1, 7, 11):
        # The records are a kill's, too: those of later draws are not looked at before they are drawn.
        (ledger.root / "proposals.jsonl").write_bytes(b"".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
        search, again = start(GRID, f"search.sampler={sampler}")
        assert len(search.planned) == kept and search.left == 12 - kept
        completed(search, again, 12 - kept)
        assert drawn(search) == drawn(undisturbed)
        assert drawn(start(GRID, f"search.sampler={sampler}")[0]) == drawn(undisturbed)


def test_more_samples_continue_and_fewer_leave_the_rest(start: Start) -> None:
    search, ledger = start()
    completed(search, ledger, 12)
    first = drawn(search)
    fewer, _ = start(GRID, "search.samples=2")
    assert drawn(fewer) == first[:4] and fewer.draw() is None
    more, ledger = start(GRID, "search.samples=8")
    assert drawn(more) == first and more.left == 4
    completed(more, ledger, 4)
    assert drawn(start(GRID, "search.samples=8")[0]) == drawn(more)


def test_another_space_or_template_starts_over_and_goes_back(start: Start) -> None:
    search, ledger = start()
    completed(search, ledger, 12)
    other = "search.space.training.batch_size={choice: [8, 16, 32]}"
    assert start(GRID, other)[0].planned == []
    assert start(GRID, "training.epochs=7")[0].planned == []
    assert start(GRID, "search.sampler=random")[0].planned == []
    added, _ = start(GRID, "search.grid.training.optimizer=[adam, sgd, adamw]")
    assert len(added.planned) == 12 and added.left == 6
    planned = added.draw()
    assert planned is not None and planned.configuration.settings.training.optimizer == "adam"
    assert drawn(start()[0]) == drawn(search)


@pytest.mark.slow
def test_what_the_runs_came_to_changes_what_is_drawn_only_for_tpe(start: Start) -> None:
    later: dict[tuple[str, str], list[str]] = {}
    for sampler in ("tpe", "random"):
        for outcome in ("high", "low", "failed", "undefined", "half"):
            search, ledger = start(
                GRID, f"search.sampler={sampler}", "search.samples=12", results=f"{sampler} {outcome}"
            )
            for index in range(10):
                planned = search.draw()
                assert planned is not None
                best = index == 4
                for fold in range(planned.folds - (best and outcome == "half")):
                    undefined = best and outcome == "undefined" and fold == 1
                    score = {"high": 0.99, "low": 0.01}.get(outcome, 0.99) if best else 0.3 + index / 100
                    write(
                        ledger, planned, fold, None if undefined else score, best and outcome == "failed" and fold == 1
                    )
            # Several: which of a sampler's few candidates is the best may well be the same after another outcome.
            later[sampler, outcome] = [planned.id for _ in range(10) if (planned := search.draw()) is not None]
    assert {len(ids) for ids in later.values()} == {10}
    assert len({tuple(later["random", outcome]) for outcome in ("high", "low", "failed", "undefined", "half")}) == 1
    assert len({tuple(later["tpe", outcome]) for outcome in ("high", "low", "failed", "half")}) >= 3
    # An undefined objective and a failed fold are one to the sampler: it failed.
    assert later["tpe", "failed"] == later["tpe", "undefined"]


def test_a_finite_space_is_drawn_to_its_last_configuration(start: Start) -> None:
    search, ledger = start(FINITE)
    made = completed(search, ledger, 9)
    assert len({planned.id for planned in made}) == 9 and search.draw() is None


def test_what_cannot_be_meant_is_not_drawn_and_a_space_that_holds_too_little_says_so(start: Start) -> None:
    search, ledger = start(FINITE, "training.epochs=2")  # with two epochs, a warm-up of two is none
    made = completed(search, ledger, 6)
    assert {planned.configuration.settings.training.warmup_epochs for planned in made} == {0, 1}
    with pytest.raises(UserError, match=r"search\.space: no 7 different configurations .* reach its peak in 2 epochs"):
        search.draw()


def test_lines_that_nobody_could_have_drawn_are_passed_over(start: Start) -> None:
    search, ledger = start(FINITE)
    [first] = completed(search, ledger, 1)
    path = ledger.root / "proposals.jsonl"
    line = path.read_text()
    key = line.split('"')[3]
    path.write_text(
        f'nonsense\n[1]\n{{"key": 5}}\n{{"key": "{key}", "drawn": {{"training.batch_size": 5}}}}\n{line}{line}'
    )
    again, _ = start(FINITE)
    assert [planned.id for planned in again.planned] == [first.id]
