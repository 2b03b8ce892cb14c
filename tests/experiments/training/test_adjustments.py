"""What a run changes to become possible: rung by rung, kept on disk, and never more than it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.sweep import Settings
from experiments.training.adjustments import ADJUSTMENTS_FILE, AT_START, IN_TEST, Adjustments

IN_TRAINING = "in epoch 3"
NONE = Adjustments()
moments = st.sampled_from([AT_START, "in epoch 1", IN_TRAINING, IN_TEST])
some_adjustments = st.builds(
    Adjustments,
    micro_batch=st.none() | st.integers(1, 512),
    checkpointing=st.booleans(),
    alone=st.booleans(),
    lr=st.none() | st.floats(1e-9, 10),
    own_gpu=st.booleans(),
    notes=st.lists(st.text(max_size=40), max_size=4).map(tuple),
)


def climbed(batch_size: int, when: str, start: Adjustments = NONE) -> list[Adjustments]:
    """Every rung from `start` to the last, which is not in it."""
    rungs: list[Adjustments] = []
    further: Adjustments | None = start
    while (further := further.with_less_memory(batch_size, when)) is not None:
        rungs.append(further)
    return rungs


def rungs_of(adjustments: list[Adjustments]) -> list[tuple[int | None, bool, bool]]:
    return [(one.micro_batch, one.checkpointing, one.alone) for one in adjustments]


def test_micro_batches_then_checkpointing_then_alone() -> None:
    rungs = climbed(16, IN_TRAINING)
    parts = [(8, False, False), (4, False, False), (2, False, False), (1, False, False)]
    assert rungs_of(rungs) == [*parts, (1, True, False), (1, True, True)]
    assert rungs[-1].notes == (
        "out of memory in epoch 3: micro-batch 8 of 16, for batch normalisation too",
        "out of memory in epoch 3: micro-batch 4 of 16, for batch normalisation too",
        "out of memory in epoch 3: micro-batch 2 of 16, for batch normalisation too",
        "out of memory in epoch 3: micro-batch 1 of 16, for batch normalisation too",
        "out of memory in epoch 3: activation checkpointing",
        "out of memory in epoch 3: alone, after all others",
    )


def test_a_gpu_of_its_own_comes_before_what_may_change_the_result() -> None:
    first = NONE.with_own_gpu(IN_TRAINING)
    assert first.notes == ("out of memory in epoch 3: no other run on its GPU",)
    assert first.climbed_since(NONE) and not first.none_for_memory
    assert rungs_of(climbed(2, IN_TRAINING, first)) == [(1, False, False), (1, True, False), (1, True, True)]
    assert all(rung.own_gpu for rung in climbed(2, IN_TRAINING, first))


def test_a_batch_of_one_case_has_no_parts() -> None:
    assert rungs_of(climbed(1, IN_TRAINING)) == [(None, True, False), (None, True, True)]


def test_odd_batches_are_halved_downwards() -> None:
    assert [one.micro_batch for one in climbed(7, IN_TRAINING)][:2] == [3, 1]
    assert [one.micro_batch for one in climbed(3, IN_TRAINING)][:1] == [1]


def test_where_only_weights_are_loaded_nothing_helps_but_being_alone() -> None:
    rungs = climbed(16, AT_START)
    assert rungs_of(rungs) == [(None, False, True)]
    assert rungs[0].notes == ("out of memory at the start: alone, after all others",)
    # It stays alone when, later on, its batch is too large as well.
    assert rungs_of(climbed(2, IN_TRAINING, rungs[0])) == [(1, False, True), (1, True, True)]


def test_activations_that_are_not_kept_are_not_computed_twice_in_the_test() -> None:
    rungs = climbed(4, IN_TEST)
    assert rungs_of(rungs) == [(2, False, False), (1, False, False), (1, False, True)]
    assert rungs[0].notes == ("out of memory in the test: micro-batch 2 of 4",)


def test_two_cases_where_one_is_too_few_and_no_way_back_to_one() -> None:
    two = Adjustments(micro_batch=1, notes=("before",)).with_two_cases(8)
    note = "one case is too few for batch normalisation: micro-batch 2 of 8, activation checkpointing"
    assert two == Adjustments(micro_batch=2, checkpointing=True, notes=("before", note))
    assert rungs_of(climbed(8, IN_TRAINING, two)) == [(2, True, True)]


@settings(max_examples=50)
@given(batch_size=st.integers(1, 65_536), course=st.lists(moments, min_size=40, max_size=40))
def test_the_ladder_ends_and_every_rung_is_another_with_one_more_note(batch_size: int, course: list[str]) -> None:
    at, seen = Adjustments(), set()
    for when in course:
        if (further := at.with_less_memory(batch_size, when)) is None:
            assert at.alone
            continue
        assert further.climbed_since(at) and not at.climbed_since(further)
        assert further.notes[:-1] == at.notes and when in further.notes[-1]
        assert further.follow(at.notes) and not at.follow(further.notes)
        assert 1 <= (further.micro_batch or batch_size) <= (at.micro_batch or batch_size)
        assert further not in seen
        seen.add(further)
        at = further
    assert len(seen) <= batch_size.bit_length() + 2


def test_a_lower_rate_is_that_of_the_settings_and_no_memory_trouble() -> None:
    plain, before = Settings(), Adjustments(micro_batch=2, notes=("before",))
    after = before.at_lower_rate(plain.training.lr, epoch=5)
    assert after.notes == ("before", "diverged in epoch 5: learning rate 3e-05 instead of 0.0003")
    changed = after.in_settings(plain)
    assert changed.training.lr == pytest.approx(3e-5)
    assert changed.model_copy(update={"training": plain.training}) == plain
    assert before.in_settings(plain) is plain
    assert not after.climbed_since(before)
    assert Adjustments().at_lower_rate(0.1, 1).none_for_memory and not after.none_for_memory


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(adjustments=some_adjustments)
def test_what_was_written_is_read(tmp_path: Path, adjustments: Adjustments) -> None:
    adjustments.write(tmp_path)
    assert Adjustments.read(tmp_path) == adjustments


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Adjustments.read(tmp_path) == Adjustments()
        assert Adjustments.read(tmp_path / "nowhere") == Adjustments()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"micro_batch": 2', '"micro_batch": 4'),
        lambda text: "",
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "\udce4",  # no UTF-8
    ],
    ids=["cut off", "a digit changed", "empty", "a list", "nothing in it", "not text"],
)
def test_a_damaged_file_counts_for_nothing_and_is_said(tmp_path: Path, damage: Callable[[str], str]) -> None:
    Adjustments(micro_batch=2, notes=("a note",)).write(tmp_path)
    path = tmp_path / ADJUSTMENTS_FILE
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    with pytest.warns(UserWarning, match="adjustments.json cannot be read"):
        read = Adjustments.read(tmp_path)
    assert read == Adjustments()
    assert not read.climbed_since(Adjustments(micro_batch=2, notes=("a note",)))
