"""The queue hands out every run once, fold by fold and the longest first, and takes back what crashed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.scheduling.queue import Run, RunQueue, fold_by_fold
from experiments.scheduling.waiting import Waiting


def test_fold_zero_of_every_configuration_comes_first():
    runs = fold_by_fold([("a", 3), ("b", 2), ("c", 3)])
    assert runs == [
        Run("a", 0), Run("b", 0), Run("c", 0),
        Run("a", 1), Run("b", 1), Run("c", 1),
        Run("a", 2), Run("c", 2),
    ]  # fmt: skip


def test_a_crashed_run_is_the_next_one_until_its_retries_are_used_up():
    queue = RunQueue([Run("a", 0), Run("b", 0)], retries=2)
    for crash in range(1, 3):
        assert queue.take() == Run("a", 0)
        assert queue.crashed(Run("a", 0))
        assert queue.crashes(Run("a", 0)) == crash
    assert queue.take() == Run("a", 0)
    assert not queue.crashed(Run("a", 0))
    assert queue.take() == Run("b", 0)


def test_a_queue_with_a_run_out_is_not_exhausted_though_nothing_waits():
    queue = RunQueue([Run("a", 0)])
    assert queue.take() == Run("a", 0)
    assert queue.take() is None
    assert not queue.exhausted
    queue.ended(Run("a", 0))
    assert queue.exhausted


def test_news_of_a_run_that_is_not_out_changes_nothing():
    queue = RunQueue([Run("a", 0)])
    queue.ended(Run("x", 0))
    assert queue.crashed(Run("x", 0))
    assert len(queue) == 1


def test_more_is_asked_for_when_nothing_waits_and_there_is_room_and_no_longer_once_there_is_none():
    answers = [[Run("b", 0), Run("b", 1)], [Run("c", 0)], []]
    asked = []

    def more():
        asked.append(len(asked))
        return answers[asked[-1]]

    queue = RunQueue([Run("a", 0)], more=more)
    assert queue.take(ahead=True) == Run("a", 0)
    assert queue.take(ahead=True) is None and asked == []
    assert not queue.exhausted
    assert queue.take() == Run("b", 0) and asked == [0]
    assert queue.take(ahead=True) == Run("b", 1)  # it waits already
    for run in (Run("a", 0), Run("b", 0), Run("b", 1)):
        queue.ended(run)
    assert not queue.exhausted
    assert queue.take() == Run("c", 0)
    assert queue.take() is None and asked == [0, 1, 2]
    assert not queue.exhausted  # its run may yet come back
    assert queue.crashed(Run("c", 0)) and queue.take() == Run("c", 0)
    queue.ended(Run("c", 0))
    assert queue.take() is None and asked == [0, 1, 2]
    assert queue.exhausted


def test_a_run_that_is_set_apart_comes_when_all_others_have_ended_and_nothing_beside_it():
    a, b, c = Run("a", 0), Run("b", 0), Run("c", 0)
    queue = RunQueue([a, b, c])
    assert queue.take() == a and queue.set_apart(a)
    assert queue.take() == b and queue.take() == c
    assert len(queue) == 1 and queue.take() is None  # b and c are out
    queue.ended(b)
    assert queue.take() is None and not queue.exhausted
    assert queue.crashed(c) and queue.take() == c  # which comes back first
    queue.ended(c)
    assert queue.take() == a and not queue.set_apart(a)
    assert queue.take() is None and not queue.exhausted
    queue.ended(a)
    assert queue.exhausted


def test_two_that_are_set_apart_come_one_after_the_other():
    a, b = Run("a", 0), Run("b", 0)
    queue = RunQueue([a, b])
    for run in (a, b):
        assert queue.take() == run and queue.set_apart(run)
    assert queue.take() == a and queue.take() is None
    queue.ended(a)
    assert queue.take() == b
    queue.ended(b)
    assert queue.exhausted


def test_a_run_that_crashes_while_it_is_alone_may_be_set_apart_again():
    a = Run("a", 0)
    queue = RunQueue([a], retries=1)
    assert queue.take() == a and queue.set_apart(a) and queue.take() == a
    assert queue.crashed(a)
    assert queue.take() == a and queue.set_apart(a) and queue.take() == a
    assert not queue.crashed(a)
    assert queue.exhausted


def test_a_search_proposes_all_that_it_has_before_a_run_is_alone():
    a, b = Run("a", 0), Run("b", 0)
    more = iter([[b], []])
    queue = RunQueue([a], more=lambda: next(more))
    assert queue.take() == a and queue.set_apart(a)
    assert queue.take(ahead=True) is None
    assert queue.take() == b
    assert queue.take() is None  # there is no more, but b is out
    queue.ended(b)
    assert queue.take() == a


def test_more_may_come_when_a_run_has_ended():
    answers = [[Run("a", 0)], None, None, [Run("a", 1)], None, []]
    queue = RunQueue([], more=lambda: answers.pop(0))
    assert queue.take() == Run("a", 0)
    assert queue.take() is None and not queue.exhausted
    queue.ended(Run("a", 0))
    assert queue.take() is None and not queue.exhausted
    assert queue.take() == Run("a", 1)
    queue.ended(Run("a", 1))
    assert queue.take() is None and not queue.exhausted
    assert queue.take() is None and queue.exhausted


def test_a_run_that_was_set_apart_comes_when_nothing_else_can_until_it_has_ended():
    queue = RunQueue([Run("a", 0), Run("b", 0)], more=lambda: None)
    assert queue.take() == Run("a", 0) and queue.set_apart(Run("a", 0))
    assert queue.take() == Run("b", 0)
    assert queue.take() is None
    queue.ended(Run("b", 0))
    assert queue.take() == Run("a", 0)  # what comes next waits for it


@given(
    folds=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    slots=st.integers(1, 5),
    retries=st.integers(0, 3),
    data=st.data(),
)
def test_every_run_ends_exactly_once_whatever_crashes(folds, slots, retries, data):
    runs = fold_by_fold([(f"c{index}", count) for index, count in enumerate(folds)])
    queue, out, ended, given_up = RunQueue(runs, retries), [], [], []
    lonely = data.draw(st.sets(st.sampled_from(runs)))
    while not queue.exhausted:
        while len(out) < slots and (run := queue.take()) is not None:
            assert run not in out and run not in ended and run not in given_up
            assert not lonely.intersection(out)
            if run not in lonely or not queue.set_apart(run):
                out.append(run)
            assert not lonely.intersection(out) or len(out) == 1
        run = out.pop(data.draw(st.integers(0, len(out) - 1)))
        if data.draw(st.booleans()):
            queue.ended(run)
            ended.append(run)
        elif not queue.crashed(run):
            assert queue.crashes(run) == retries + 1
            given_up.append(run)
    assert sorted(ended + given_up) == sorted(runs)


RUNS = fold_by_fold([("short", 2), ("long", 2), ("middle", 2)])
WORK = {"short": 1.0, "long": 100.0, "middle": 10.0}


def order(waiting: Waiting, slots: int = 1) -> list[Run]:
    return [waiting.pop(slots) for _ in range(len(waiting))]


def test_without_estimates_the_order_is_the_one_given() -> None:
    waiting = Waiting(reversed(RUNS))
    waiting.learn("long", 100)
    assert order(waiting, slots=8) == RUNS[::-1]


def test_of_a_fold_the_longest_comes_first() -> None:
    runs = fold_by_fold([(f"c{number}", 2) for number in range(6)])
    begun = order(Waiting(runs, {f"c{number}": 1 + number / 10 for number in range(6)}))
    assert begun[:6] == [Run(f"c{number}", 0) for number in (5, 4, 3, 2, 1, 0)]
    assert {run.fold for run in begun[6:]} == {1}


def test_what_would_end_alone_comes_before_earlier_folds() -> None:
    runs = fold_by_fold([("long", 3), *((f"c{number}", 3) for number in range(20))])
    waiting = Waiting(runs, {"long": 9.0})
    begun = order(waiting, slots=8)
    assert begun[0] == Run("long", 0)
    assert begun.index(Run("long", 2)) < begun.index(Run("c0", 1))
    assert order(Waiting(runs, {"long": 9.0})).index(Run("long", 1)) > 15  # one slot has enough to do meanwhile


def test_what_runs_have_taken_stands_in_place_of_estimates() -> None:
    waiting = Waiting([Run(name, 1) for name in ("a", "b", "c")], {"a": 3.0, "b": 2.0, "c": 1.0})
    waiting.learn("a", 10)
    waiting.learn("b", 1000)
    assert order(waiting)[0] == Run("b", 1)


def test_who_comes_back_is_first_and_nobody_waits_twice() -> None:
    waiting = Waiting(RUNS, WORK)
    first = waiting.pop()
    waiting.push_front(first)
    assert waiting.pop() == first
    with pytest.raises(ValueError, match="twice"):
        waiting.extend([waiting.pop(), Run("short", 1)])
    with pytest.raises(IndexError):
        Waiting([]).pop()


@given(
    work=st.dictionaries(st.sampled_from("abcdef"), st.floats(0.1, 1000), min_size=1),
    slots=st.integers(1, 50),
    data=st.data(),
)
def test_every_run_comes_once_whatever_is_learnt(work: dict[str, float], slots: int, data: st.DataObject) -> None:
    runs = fold_by_fold([(name, 3) for name in "abcdef"])
    waiting, begun = Waiting(runs, work), []
    while waiting:
        begun.append(waiting.pop(slots))
        waiting.learn(data.draw(st.sampled_from("abcdef")), data.draw(st.floats(0, 1e5)))
    assert sorted(begun) == sorted(runs)
