"""First a look at everyone, then whoever is best so far."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from experiments.agenda import ByPromise
from experiments.scheduling import Run, fold_by_fold

RUNS = fold_by_fold([("a", 3), ("b", 3), ("c", 2)])


def looked(values: dict[str, float | None], mode: str = "max", failed: str = "") -> list[Run]:
    """What comes after fold 0 of all, with these objectives."""
    order = ByPromise(RUNS, mode, patient=True)  # type: ignore[arg-type]
    assert [order.more() for _ in range(3)] == [[Run(name, 0)] for name in "abc"]
    for name, value in values.items():
        order.learn(Run(name, 0), value, name == failed)
    handed = []
    while runs := order.more():
        handed += runs
    return handed


def test_the_best_is_complete_first() -> None:
    best = [Run("b", 1), Run("b", 2), Run("c", 1), Run("a", 1), Run("a", 2)]
    assert looked({"a": 0.1, "b": 0.9, "c": 0.5}) == best
    assert looked({"a": 9.0, "b": 1.0, "c": 5.0}, mode="min") == best


def test_who_has_no_value_comes_late_and_who_has_failed_last() -> None:
    names = [run.configuration for run in looked({"a": None, "b": None, "c": 0.1}, failed="a")]
    assert names == ["c", "b", "b", "a", "a"]


def test_promise_is_the_mean_so_far() -> None:
    order = ByPromise(RUNS[3:], "max", patient=True)
    for name, value in {"a": 0.6, "b": 0.5, "c": 0.1}.items():
        order.learn(Run(name, 0), value)
    assert order.more() == [Run("a", 1)]
    order.learn(Run("a", 1), 0.2)
    assert order.more() == [Run("b", 1)]


def test_slots_idle_only_where_patience_is_asked_for() -> None:
    patient, eager = (ByPromise(RUNS, "max", patient=patience) for patience in (True, False))
    for order in (patient, eager):
        for _ in range(3):
            order.more()
    assert patient.more() is None
    assert eager.more() == [Run("a", 1)]
    patient.learn(Run("c", 0), 0.5)
    assert patient.more() == [Run("c", 1)]
    assert patient.more() is None  # a and b are still out


@given(data=st.data(), folds=st.lists(st.integers(1, 4), min_size=1, max_size=6), patient=st.booleans())
def test_every_run_comes_once(data: st.DataObject, folds: list[int], patient: bool) -> None:
    runs = fold_by_fold([(f"c{number}", count) for number, count in enumerate(folds)])
    missing = data.draw(st.lists(st.sampled_from(runs), unique=True).map(lambda some: sorted(some, key=runs.index)))
    order, out, handed = ByPromise(missing, "max", patient=patient), [], []
    for run in set(runs) - set(missing):
        order.learn(run, data.draw(st.none() | st.floats(0, 1)))
    while (more := order.more()) or out:
        handed += more or []
        out += more or []
        if more is None or data.draw(st.booleans()):
            order.learn(out.pop(), data.draw(st.none() | st.floats(0, 1)), data.draw(st.booleans()))
    assert more == [] and sorted(handed) == sorted(missing)
