"""A race stops the hopeless, keeps the best, and does not care who comes in first."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.racing import FoldScores, Race, Rules, Run, pilots_of, rungs_of

CASES = 40


class Grid:
    """What every run would come to. skills: of each configuration, c0, c1, ..."""

    def __init__(self, skills: list[float], folds: int = 3, noise: float = 0.02, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.names = [f"c{number}" for number in range(len(skills))]
        self.folds = folds
        training = rng.normal(0, noise, (len(skills), folds, 1))
        self.scores = np.array(skills)[:, None, None] + training + rng.normal(0, 0.05, (len(skills), folds, CASES))

    def of(self, run: Run) -> FoldScores:
        cases = self.scores[int(run[0][1:]), run[1]]
        return FoldScores(float(cases.mean()), cases, np.arange(CASES))

    def race(self, rules: Rules | None = None, failing: str = "") -> tuple[Race, list[Run]]:
        """The race run by run, each as it is wanted; and the runs in that order."""
        race, done = Race(self.names, self.folds, rules or Rules()), []
        while not race.over:
            run = next(iter(race.wanted))
            race.enter(run, None if run[0] == failing else self.of(run))
            done.append(run)
        return race, done


HOPELESS = Grid([0.2, 0.8, 0.79, 0.78, 0.3, 0.77, 0.81, 0.4, 0.76, 0.1])


def test_fold_zero_of_everybody_comes_first_then_fold_one_of_the_pilots() -> None:
    _, done = HOPELESS.race()
    assert sorted(done[:10]) == [(name, 0) for name in HOPELESS.names]
    best = sorted(HOPELESS.names, key=lambda name: -HOPELESS.of((name, 0)).value)
    assert done[10:16] == [(name, 1) for name in best[: pilots_of(10)]]


def test_the_hopeless_run_one_fold_and_the_contenders_all() -> None:
    race, done = HOPELESS.race()
    assert set(race.stopped) == {"c0", "c4", "c7", "c9"}
    for name, stop in race.stopped.items():
        assert [run for run in done if run[0] == name] == [(name, 0)]
        assert stop.lead > stop.bound > Rules().margin and stop.fold == 0 and stop.rung is None
    assert {fold for name, fold in done if name == "c6"} == {0, 1, 2}
    assert race.left() == [] and list(race.wanted) == []


def test_without_pilots_the_first_decision_waits_for_two_folds() -> None:
    race, done = HOPELESS.race(Rules(pilots=0))
    assert {stop.fold for stop in race.stopped.values()} == {1}
    assert all((name, 1) in done for name in HOPELESS.names)


def test_a_lead_within_the_margin_stops_nobody() -> None:
    race, done = HOPELESS.race(Rules(margin=0.75))
    assert not race.stopped and len(done) == 30


def test_a_failed_leader_is_out_and_who_lost_to_it_alone_runs_again() -> None:
    grid = Grid([0.95, *[0.5] * 7], noise=0.001)
    assert set(grid.race()[0].stopped) == set(grid.names[1:])
    race = Race(grid.names, grid.folds)
    for name in grid.names:
        race.enter((name, 0), grid.of((name, 0)))
    for run in list(race.wanted):
        race.enter(run, grid.of(run))
    assert race.stopped
    race.enter(("c0", 2), None)  # its last fold
    assert not race.stopped
    while not race.over:
        for run in list(race.wanted):
            race.enter(run, grid.of(run))
    assert not race.stopped and race.left() == []


def test_a_configuration_without_a_value_is_not_compared() -> None:
    grid = Grid([0.8] * 9)
    grid.scores[3] = math.nan
    race, done = grid.race()
    assert "c3" not in race.stopped and ("c3", 2) in done


def test_fewer_configurations_than_pilots_are_compared_after_two_folds() -> None:
    race, _ = Grid([0.8, 0.79, 0.1]).race()
    assert {name: stop.fold for name, stop in race.stopped.items()} == {"c2": 1}


@pytest.mark.parametrize("folds", [1, 2, 3])
def test_nobody_is_alone_in_a_race_that_ends(folds: int) -> None:
    race, done = Grid([0.8], folds).race()
    assert not race.stopped and len(done) == folds
    assert Race([], folds).over


def test_idle_slots_get_the_most_promising_at_most_one_fold_ahead_of_the_first_decision() -> None:
    race = Race(HOPELESS.names, 3)
    assert list(race.early()) == []
    for name in HOPELESS.names[:-1]:
        race.enter((name, 0), HOPELESS.of((name, 0)))
    best = sorted(HOPELESS.names[:-1], key=lambda name: -HOPELESS.of((name, 0)).value)
    assert list(race.early()) == [(name, 1) for name in best]
    race.enter((best[0], 1), HOPELESS.of((best[0], 1)))
    assert (best[0], 2) not in list(race.early())


def test_when_the_hopeless_are_out_idle_slots_get_all_that_the_contenders_need() -> None:
    grid = Grid(np.repeat([0.8, 0.2], [14, 6]).tolist(), folds=5, noise=0.01)
    race = Race(grid.names, 5)
    while not race.stopped:
        assert {fold for _, fold in race.early()} <= {1, 2}
        race.enter(run := next(iter(race.wanted)), grid.of(run))
    contenders = [name for name in grid.names if name not in race.stopped]
    wanted, early = list(race.wanted), list(race.early())
    assert {run[0] for run in wanted} | {run[0] for run in early} == set(contenders)
    assert not set(wanted) & set(early) and sorted(wanted + early) == sorted(race.left())
    folds = [fold for _, fold in early]
    assert folds == sorted(folds), "of earlier folds first"
    of_last = [name for name, fold in early if fold == 4]
    assert of_last == sorted(of_last, key=race.promise), "the most promising first"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), slots=st.integers(1, 5), data=st.data())
def test_the_order_of_arrival_changes_nothing(seed: int, slots: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    grid = Grid(rng.uniform(0.3, 0.8, 9).tolist(), seed=seed)
    failing = data.draw(st.sampled_from(["", *grid.names]))
    rules = Rules(fold_share=data.draw(st.sampled_from([1.0, 0.5, 0.33])))
    expected, _ = grid.race(rules, failing=failing)
    race, out = Race(grid.names, grid.folds, rules), []
    while not race.over:
        for run in [*race.wanted, *race.early()]:
            if len(out) < slots and run not in out:
                out.append(run)
        run = out.pop(data.draw(st.integers(0, len(out) - 1)))
        race.enter(run, None if run[0] == failing else grid.of(run))
    assert race.stopped == expected.stopped


def test_the_worse_part_is_stopped_at_each_rung() -> None:
    rules = Rules(rung_share=0.5, kept=2)
    grid = Grid([0.5 + number / 100 for number in range(8)], noise=0)
    race = Race(grid.names, 2, rules, (5, 10))
    assert race.rungs == (5, 10) and race.until == 5
    for number, name in enumerate(grid.names):
        assert race.until == 5
        race.reach(name, 5, number)
    assert race.until == 10 and list(race.wanted) == [(name, 0) for name in ("c7", "c6", "c5", "c4")]
    assert {stop.rung for stop in race.stopped.values()} == {5} and set(race.stopped) == set(grid.names[:4])
    race.enter(("c7", 0), grid.of(("c7", 0)))  # started early: it has ended before the others reach the rung
    for name, reached in (("c7", 1), ("c6", math.nan), ("c5", 0.2), ("c4", 0.3)):
        race.reach(name, 10, reached)
    assert race.until is None and list(race.wanted) == [("c4", 0)]
    assert set(race.stopped) == {*grid.names[:4], "c6", "c5"}


def test_rungs_of_short_trainings_are_few() -> None:
    assert [rungs_of(epochs) for epochs in (1, 2, 3, 4, 60)] == [(), (1,), (1,), (2,), (30,)]


@pytest.mark.parametrize(
    ("count", "folds", "share", "expected"),
    [(12, 3, 0.33, [12, 4, 2]), (24, 3, 0.33, [24, 8, 3]), (12, 5, 0.33, [12, 4, 2, 2, 2]), (9, 3, 1.0, [9, 9, 9])],
)
def test_a_share_goes_on_after_each_fold(count: int, folds: int, share: float, expected: list[int]) -> None:
    """The noise is too large for confidence to stop anybody, and no fold of pilots is run."""
    grid = Grid([number / 100 for number in range(count)], folds=folds, noise=2.0)
    race, done = grid.race(Rules(fold_share=share, pilots=0, margin=0.9))
    ran = [[name for name, fold in done if fold == number] for number in range(folds)]
    assert [len(names) for names in ran] == expected
    if share == 1:
        assert not race.stopped
        return
    for number, (names, following) in enumerate(itertools.pairwise(ran)):

        def mean(name: str, folds: int = number + 1) -> float:
            return sum(grid.of((name, fold)).value for fold in range(folds)) / folds

        assert set(following) == set(sorted(names, key=mean)[-len(following) :])
        for name in set(names) - set(following):
            stop = race.stopped[name]
            assert stop.fold == number and stop.rung is None and math.isnan(stop.bound)
            assert stop.lead == pytest.approx(mean(stop.leader) - mean(name)) and stop.lead >= 0
            assert "others are nearer" in stop.sentence(name, stop.leader) and "nan" not in stop.sentence(name, "b")


def test_when_one_that_went_on_fails_the_next_takes_its_place() -> None:
    grid = Grid([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], noise=0.01)
    rules = Rules(fold_share=0.5, margin=0.99)
    assert {*grid.race(rules)[0].stopped} == {"c2", "c3", "c4", "c5"}
    race, done = grid.race(rules, failing="c1")
    assert {*race.stopped} == {"c3", "c4", "c5"} and {fold for name, fold in done if name == "c2"} == {0, 1, 2}


def test_idle_slots_get_no_run_of_two_folds_ahead_while_there_is_a_cut_to_come() -> None:
    grid = Grid([number / 10 for number in range(8)], folds=4, noise=0.001)
    race = Race(grid.names, 4, Rules(fold_share=0.5, margin=0.99))
    for name in grid.names:
        race.enter((name, 0), grid.of((name, 0)))
    for run in list(race.wanted)[:3]:
        race.enter(run, grid.of(run))
    assert {fold for _, fold in race.early()} == {2}
