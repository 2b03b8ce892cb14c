from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.errors import UserError
from utils.splits.folds import Fold, Split, check_split, make_split, split_from_file

LABELS = ("benign", "malignant", "normal")


@dataclasses.dataclass(frozen=True)
class Cases:
    ids: list[str]
    labels: list[str]
    groups: list[str]

    def label_of(self) -> dict[str, str]:
        return dict(zip(self.ids, self.labels, strict=True))

    def group_of(self) -> dict[str, str]:
        return dict(zip(self.ids, self.groups, strict=True))

    def split(self, k: int = 3, seed: int = 42, validation: float = 0.2, test: float | None = None) -> Split:
        return make_split(self.ids, self.labels, self.groups, k=k, seed=seed, validation=validation, test=test)


@st.composite
def cases(draw: st.DrawFn, fewest: int = 8, most: int = 40, largest: int = 4, mixed: bool = True) -> Cases:
    """Groups of one to `largest` cases; each class has at least `fewest` groups; a few groups have two labels."""
    result = Cases([], [], [])
    for label in LABELS[: draw(st.integers(1, 3))]:
        for number in range(draw(st.integers(fewest, most))):
            for member in range(draw(st.integers(1, largest))):
                other = mixed and member > 0 and draw(st.integers(0, 9)) == 0
                result.ids.append(f"{label} {number}-{member}")
                result.labels.append(LABELS[0] if other else label)
                result.groups.append(f"{label} {number}-0")
    return result


def shapes() -> st.SearchStrategy[tuple[int, float | None]]:
    """k, and the share of the test part where k is 1."""
    several = st.tuples(st.integers(2, 6), st.none())
    return st.one_of(several, st.tuples(st.just(1), st.floats(0.1, 0.4)))


def singles(**counts: int) -> Cases:
    """Every case its own group."""
    ids = [f"{label} {number}" for label, count in counts.items() for number in range(count)]
    return Cases(ids, [id.split()[0] for id in ids], ids)


def messages(error: pytest.ExceptionInfo[UserError]) -> list[str]:
    return [str(problem) for problem in error.value.problems]


@settings(max_examples=60, deadline=None)
@given(cases(), shapes(), st.integers(0, 2**63 - 1), st.floats(0.05, 0.5))
def test_parts_are_disjoint_cover_all_and_cut_no_group(
    drawn: Cases, shape: tuple[int, float | None], seed: int, validation: float
) -> None:
    k, test = shape
    split = drawn.split(k, seed, validation, test)
    assert [fold.index for fold in split.folds] == list(range(k))
    group_of = drawn.group_of()
    for fold in split.folds:
        assert sorted(fold.train + fold.validation + fold.test) == sorted(drawn.ids)
        assert all(fold.parts().values())
        assert all(list(part) == sorted(part) for part in fold.parts().values())
        groups = [{group_of[case] for case in part} for part in fold.parts().values()]
        assert sum(map(len, groups)) == len(set.union(*groups))
    if k > 1:
        assert sorted(case for fold in split.folds for case in fold.test) == sorted(drawn.ids)


@settings(max_examples=30, deadline=None)
@given(cases(), shapes(), st.integers(0, 1000), st.randoms())
def test_the_order_of_the_cases_does_not_matter(
    drawn: Cases, shape: tuple[int, float | None], seed: int, shuffler: random.Random
) -> None:
    k, test = shape
    rows = list(zip(drawn.ids, drawn.labels, drawn.groups, strict=True))
    shuffler.shuffle(rows)
    shuffled = Cases(*([row[column] for row in rows] for column in range(3)))
    assert shuffled.split(k, seed, test=test) == drawn.split(k, seed, test=test)


@settings(max_examples=40, deadline=None)
@given(cases(fewest=25, largest=2, mixed=False), st.integers(2, 5), st.integers(0, 1000))
def test_every_part_has_its_share_of_every_class(drawn: Cases, k: int, seed: int) -> None:
    split = drawn.split(k, seed, validation=0.2)
    totals = Counter(drawn.labels)
    label_of = drawn.label_of()
    assert split.gaps(label_of) == ()
    for fold in split.folds:
        tested = Counter(label_of[case] for case in fold.test)
        steering = Counter(label_of[case] for case in fold.validation)
        for label, total in totals.items():
            # Groups have one or two cases, and the greedy draw balances classes against one another.
            assert abs(tested[label] - total / k) <= 4
            assert abs(steering[label] - 0.2 * (total - tested[label])) <= 4


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15, 0.2, 0.25, 0.33, 0.4, 0.5, 0.7])
def test_the_realised_share_is_near_the_wanted(share: float) -> None:
    drawn = singles(benign=120, malignant=70, normal=50)
    for fold in drawn.split(k=3, validation=share).folds:
        inside = len(fold.train) + len(fold.validation)
        assert len(fold.validation) / inside == pytest.approx(share, abs=0.02)
    (fold,) = drawn.split(k=1, validation=0.2, test=share).folds
    assert len(fold.test) / 240 == pytest.approx(share, abs=0.02)


def test_seeds_give_different_folds_and_the_same_seed_the_same() -> None:
    drawn = singles(benign=30, malignant=20)
    hashes = [drawn.split(seed=seed).hash for seed in (0, 1, 2, 3, 2**32, 2**63 - 1)]
    assert len(set(hashes)) == 6
    assert hashes[0] == drawn.split(seed=0).hash


def test_folds_take_groups_and_labels_by_id_as_well() -> None:
    drawn = singles(benign=12, malignant=9)
    by_id = make_split(drawn.ids, drawn.label_of(), drawn.group_of(), k=3, seed=42, validation=0.2)
    assert by_id == drawn.split()


def test_the_hash_is_of_the_content() -> None:
    split = Split((Fold(0, ("a", "b"), ("c",), ("d",)), Fold(1, ("c", "d"), ("a",), ("b",))))
    assert len(split.hash) == 12
    assert split.hash == Split(tuple(dataclasses.replace(fold) for fold in split.folds)).hash
    others = [
        Split(split.folds[:1]),
        Split((dataclasses.replace(split.folds[0], index=7), split.folds[1])),
        Split((Fold(0, ("a", "c"), ("b",), ("d",)), split.folds[1])),
        Split((Fold(0, ("a", "b"), ("c", "d"), ()), split.folds[1])),
    ]
    assert len({other.hash for other in others} | {split.hash}) == 5


def test_a_large_group_goes_where_it_fits() -> None:
    drawn = singles(benign=40, malignant=40)
    groups = ["benign 0" if number < 15 else id for number, id in enumerate(drawn.ids)]
    split = Cases(drawn.ids, drawn.labels, groups).split(k=3)
    assert all(len(fold.test) in range(22, 32) for fold in split.folds)
    assert split.gaps(drawn.label_of()) == ()


def test_as_many_groups_as_folds_are_spread_over_all_of_them() -> None:
    drawn = singles(benign=40, malignant=5)
    label_of = drawn.label_of()
    for seed in range(10):
        split = drawn.split(k=5, seed=seed)
        assert [sum(label_of[case] == "malignant" for case in fold.test) for fold in split.folds] == [1] * 5


def test_an_unlucky_draw_is_repeated() -> None:
    # Class c is only in three large groups of a and b; most single draws put two of them in one of three folds.
    sizes = {"a0": 1, "a1": 5, "a2": 1, "a3": 12, "a4": 2, "a5": 5, "a6": 5, "b0": 1, "b1": 5, "b2": 5, "b3": 5}
    ids = [f"{group}-{member:02}" for group, size in sizes.items() for member in range(size)]
    labels = ["c" if id in ("a3-05", "a6-02", "b1-01") else id[0] for id in ids]
    drawn = Cases(ids, labels, [id[:2] for id in ids])
    for seed in range(20):
        tested = [{drawn.label_of()[case] for case in fold.test} for fold in drawn.split(seed=seed).folds]
        assert tested == [{"a", "b", "c"}] * 3


def test_a_class_missing_from_validation_is_a_gap_and_no_error() -> None:
    drawn = singles(benign=20, normal=2)
    gaps = drawn.split(k=2).gaps(drawn.label_of())
    assert gaps == tuple(f"fold {index}: no 'normal' case in the validation part" for index in (0, 1))


@pytest.mark.parametrize(
    ("drawn", "changes", "expected"),
    [
        (singles(benign=9, malignant=2), {"k": 3}, ["folds.k: the class 'malignant' has only 2 groups"]),
        (singles(benign=9, malignant=1), {"k": 2}, ["folds.group: all cases of the class 'malignant'"]),
        (Cases(["a", "b", "c"], ["x"] * 3, ["a"] * 3), {"k": 2}, ["folds.group: all cases of the class 'x'"]),
        (singles(benign=9), {"k": 1}, ["folds.test: a single fold needs"]),
        (singles(benign=9), {"k": 3, "test": 0.2}, ["folds.test: only for k: 1"]),
        (singles(benign=9), {"k": 0, "validation": 0.0}, ["folds.k: must be at least 1", "folds.validation: must lie"]),
        (singles(benign=9), {"k": 1, "test": 1.0}, ["folds.test: must lie between"]),
        (singles(benign=9), {"validation": 1.5}, ["folds.validation: must lie between"]),
        (singles(), {"k": 3}, ["dataset: there is no usable case"]),
        (singles(benign=2), {"k": 2}, ["folds.validation: the validation part of fold 0 would be empty"]),
    ],
)
def test_impossible_folds_are_told_all_at_once(drawn: Cases, changes: dict[str, float], expected: list[str]) -> None:
    with pytest.raises(UserError) as error:
        drawn.split(**changes)  # type: ignore[arg-type]
    found = messages(error)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_ids_must_be_unique_and_lists_equally_long() -> None:
    with pytest.raises(ValueError, match="unique"):
        make_split(["a", "a"], ["x", "x"], ["a", "a"], k=2, seed=0, validation=0.2)
    with pytest.raises(ValueError):
        make_split(["a", "b"], ["x"], ["a", "b"], k=2, seed=0, validation=0.2)


@settings(max_examples=20, deadline=None)
@given(cases(most=12), shapes(), st.integers(0, 1000))
def test_a_split_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory, drawn: Cases, shape: tuple[int, float | None], seed: int
) -> None:
    path = tmp_path_factory.mktemp("folds") / "folds.csv"
    split = drawn.split(shape[0], seed, test=shape[1])
    path.write_text(split.to_csv(), encoding="utf-8")
    again = split_from_file(path, drawn.ids, drawn.groups)
    assert again == split
    assert again.hash == split.hash


GOOD = """case,fold,part
a,0,test
b,0,validation
c,0,train
d,0,train
a,1,train
b,1,train
c,1,test
d,1,validation
"""


def read(tmp_path: Path, text: str, groups: str = "abcd", **options: list[str]) -> Split:
    path = tmp_path / "folds.csv"
    path.write_text(text, encoding="utf-8")
    return split_from_file(path, list("abcd"), list(groups), **options)


def test_a_test_part_that_never_comes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, GOOD)
    assert messages(error)[0].endswith("in the test part of no fold: b, d")


def test_a_holdout_from_a_file(tmp_path: Path) -> None:
    text = "".join(GOOD.splitlines(keepends=True)[:5])
    expected = Split((Fold(0, ("c", "d"), ("b",), ("a",)),))
    assert read(tmp_path, text) == expected
    assert read(tmp_path, "\ufeff" + text.replace("\n", "\r\n")) == expected
    assert read(tmp_path, "note,case,fold,part\n" + "".join(f"x,{line}\n" for line in text.split()[1:])) == expected
    assert read(tmp_path, text + "e,0,train\n", skipped=["e"]) == expected


def test_everything_wrong_in_a_file_is_listed(tmp_path: Path) -> None:
    text = "case,fold,part\nbenign (1),0,train\nbenign (2),zero,train\nbenign 3,0,train\nbenign (4),0,tset\n"
    path = tmp_path / "folds.csv"
    path.write_text(text, encoding="utf-8")
    ids = [f"benign ({number})" for number in range(1, 5)]
    with pytest.raises(UserError) as error:
        split_from_file(path, ids, ids)
    problems = {problem.source.rsplit(":", 1)[1]: problem for problem in error.value.problems}
    assert set(problems) == {"3", "4", "5"}
    assert problems["3"].value == "zero"
    assert (problems["4"].value, problems["4"].nearest) == ("benign 3", "benign (3)")
    assert (problems["5"].nearest, problems["5"].choices) == ("test", ("train", "validation", "test"))


def test_faults_of_folds_in_a_file_are_listed(tmp_path: Path) -> None:
    # Case b twice in fold 0, d missing there, c and d of one group apart in fold 1, fold 1 called 2.
    text = "case,fold,part\na,0,test\nb,0,validation\nb,0,train\nc,0,train\n"
    text += "a,2,train\nb,2,train\nc,2,test\nd,2,validation\n"
    with pytest.raises(UserError) as error:
        read(tmp_path, text, groups="abcc")
    found = " | ".join(messages(error))
    for expected in (
        "these are 0, 2",
        "fold 0: cases in no part: d",
        "fold 0: case 'b' is there 2 times: in train, validation",
        "fold 2: the group of 'c' is cut: 'd' in validation, 'c' in test",
        "in the test part of no fold: b, d",
    ):
        assert expected in found
    assert all("folds.csv" in message for message in messages(error))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "missing: case, fold, part"),
        (b"case,part\na,test\n", "missing: fold"),
        (b"case,fold,part\n", "there is not a single fold"),
        (b"case,fold,part\n\xff\xfe,0,test\n", "cannot be read"),
        (b'case,fold,part\n"a,0,test\n', "cannot be read"),
        (b"case,fold,part\na\n", "the fold must be a number"),
        (b"case,fold,part\na,-1,test\n", "the fold must be a number"),
        (b"case,fold,part\na,0,test\nb,0,train\nc,0,train\nd,0,train\n", "the validation part is empty"),
    ],
)
def test_files_that_are_no_folds(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "folds.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=expected):
        split_from_file(path, list("abcd"), list("abcd"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        split_from_file(tmp_path / "none.csv", ["a"], ["a"])


def test_check_split_finds_nothing_in_good_folds() -> None:
    split = Split((Fold(0, ("c",), ("b",), ("a",)), Fold(1, ("a",), ("c",), ("b",)), Fold(2, ("b",), ("a",), ("c",))))
    assert check_split(split, {case: case for case in "abc"}) == []


def test_check_split_finds_a_case_tested_twice_and_a_stranger() -> None:
    split = Split((Fold(0, ("c",), ("b",), ("a",)), Fold(1, ("c",), ("x",), ("a", "b"))))
    found = [problem.message for problem in check_split(split, {case: case for case in "abc"})]
    assert found == [
        "fold 1: no such cases: x",
        "in the test part of more than one fold: a",
        "in the test part of no fold: c",
    ]
