"""Folds that the data name: whole sources held out, and the parts of a publication."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.datasets.case import SOURCE, SPLIT, Case
from utils.errors import UserError
from utils.splits.folds import Split
from utils.splits.given import split_as_given, split_by_source


def cases(**sources: int) -> list[Case]:
    """So many groups of two cases of each of two classes from each source."""
    return [
        Case(
            f"{source}/{label} {group}-{member}", label, group=f"{source} {label} {group}", attributes={SOURCE: source}
        )
        for source, groups in sources.items()
        for label in ("benign", "malignant")
        for group in range(groups)
        for member in "ab"
    ]


def groups_of(drawn: list[Case]) -> dict[str, str]:
    return {case.id: case.group or case.id for case in drawn}


def by_source(drawn: list[Case], groups: dict[str, str] | None = None, seed: int = 1) -> Split:
    return split_by_source(drawn, groups or groups_of(drawn), seed=seed, validation=0.25)


def in_parts(**parts: int) -> list[Case]:
    drawn = cases(**parts)
    return [Case(case.id, case.label, group=case.group, attributes={SPLIT: case.attributes[SOURCE]}) for case in drawn]


def as_given(drawn: list[Case], groups: dict[str, str] | None = None) -> Split:
    return split_as_given(drawn, groups or groups_of(drawn), seed=1, validation=0.25)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.integers(3, 8), min_size=2), st.integers(0, 2**40), st.randoms())
def test_each_source_is_tested_once_by_what_never_saw_it(
    sources: dict[str, int], seed: int, shuffler: random.Random
) -> None:
    drawn = cases(**sources)
    split = by_source(drawn, seed=seed)
    group_of, source_of = groups_of(drawn), {case.id: case.attributes[SOURCE] for case in drawn}
    for fold, source in zip(split.folds, sorted(sources), strict=True):
        assert {source_of[case] for case in fold.test} == {source}
        assert source not in {source_of[case] for case in fold.train + fold.validation}
        assert sorted(fold.train + fold.validation + fold.test) == sorted(source_of)
        assert {group_of[case] for case in fold.train}.isdisjoint({group_of[case] for case in fold.validation})
        assert {case.label for case in drawn if case.id in fold.train} == {"benign", "malignant"}
    shuffler.shuffle(drawn)
    assert by_source(drawn, seed=seed) == split


def test_validation_is_a_share_of_the_other_sources() -> None:
    fold = by_source(cases(a=4, b=20)).folds[0]
    assert len(fold.validation) / (len(fold.train) + len(fold.validation)) == pytest.approx(0.25, abs=0.05)


def refused(call: object, *arguments: object) -> list[str]:
    with pytest.raises(UserError) as error:
        call(*arguments)  # type: ignore[operator]
    return [str(problem) for problem in error.value.problems]


def test_near_copies_in_two_sources_are_told_and_not_cut() -> None:
    drawn = cases(a=4, b=4)
    groups = groups_of(drawn) | {"a/benign 0-a": "one", "a/benign 0-b": "one", "b/benign 1-a": "one"}
    (said,) = refused(by_source, drawn, groups)
    assert "what belongs together is in 2 sources: 'a/benign 0-a' in a, 'b/benign 1-a' in b" in said


def test_sources_that_allow_no_folds_are_told() -> None:
    assert "there is one source only" in refused(by_source, cases(a=4))[0]
    silent = [*cases(a=4, b=4), Case("c", "benign")]
    assert "1 of 33 cases do not say their source, such as 'c'" in refused(by_source, silent)[0]
    alone = [case for case in cases(a=4, b=4) if case.attributes[SOURCE] == "a" or case.label == "benign"]
    assert refused(by_source, alone) == [
        "folds: fold 0: no 'malignant' case is left to train on; it has too few groups"
    ]


def test_the_parts_of_a_publication_are_taken_as_they_are() -> None:
    drawn = in_parts(train=5, validation=2, test=3)
    (fold,) = as_given(drawn).folds
    for part, members in fold.parts().items():
        assert set(members) == {case.id for case in drawn if case.attributes[SPLIT] == part}


def test_a_publication_without_validation_gets_one_from_its_training_part() -> None:
    drawn = in_parts(train=8, test=3)
    (fold,) = as_given(drawn).folds
    assert set(fold.test) == {case.id for case in drawn if case.attributes[SPLIT] == "test"}
    group_of = groups_of(drawn)
    assert fold.validation and {group_of[case] for case in fold.train}.isdisjoint(map(group_of.get, fold.validation))


def test_parts_that_leak_or_are_none_are_told() -> None:
    drawn = in_parts(train=3, test=3)
    groups = groups_of(drawn) | {"train/benign 0-a": "one", "train/benign 0-b": "one", "test/benign 1-a": "one"}
    assert (
        "is in 2 parts: 'test/benign 1-a' in test, 'train/benign 0-a' in train" in refused(as_given, drawn, groups)[0]
    )
    assert refused(as_given, in_parts(train=3)) == ["folds.from: no case is in the test part"]
    assert "in no such part; got 'tset'; did you mean 'test'?" in refused(as_given, in_parts(train=3, tset=1))[0]
