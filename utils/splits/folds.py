"""Folds: which cases train, which steer (validation) and which are reported (test).

In every fold the three parts are disjoint, hold every case, and cut no group; over k > 1 folds each case is
tested exactly once. Drawn from a seed (`make_split`) or read from a table (`split_from_file`), both checked alike.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import Problem, UserError, nearest, shortened
from utils.identity import derive_seed, digest
from utils.splits.shares import draw_folds, draw_share, groups_per_class

PARTS = ("train", "validation", "test")
_COLUMNS = ("case", "fold", "part")
_FOLD = re.compile("[0-9]{1,6}")
# Looking up the name that was meant takes long for many names, and nobody reads that far.
_NAMES_LOOKED_UP = 20
_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Fold:
    """One split of the cases into three parts, each of case ids in ascending order."""

    index: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def parts(self) -> dict[str, tuple[str, ...]]:
        """Part name -> its cases, in the order train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class Split:
    """The folds of a sweep, by ascending index."""

    folds: tuple[Fold, ...]

    @property
    def hash(self) -> str:
        """12 hexadecimal digits; the same for the same cases in the same parts of the same folds."""
        return digest([[fold.index, *map(list, fold.parts().values())] for fold in self.folds])

    def to_csv(self) -> str:
        """Columns case, fold, part; one row for each case of each fold; `split_from_file` reads it back."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for fold in self.folds:
            rows = [(case, fold.index, part) for part, cases in fold.parts().items() for case in cases]
            writer.writerows(sorted(rows))
        return text.getvalue()

    def gaps(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Sentences for the reader, one for each class that a part of a fold has no case of.

        labels: case id -> label.
        """
        classes = sorted(set(labels.values()))
        return tuple(
            f"fold {fold.index}: no {label!r} case in the {part} part"
            for fold in self.folds
            for part, cases in fold.parts().items()
            for label in classes
            if label not in {labels[case] for case in cases}
        )


def make_split(
    ids: Sequence[str],
    labels: Sequence[str] | Mapping[str, str],
    groups: Sequence[str] | Mapping[str, str],
    *,
    k: int,
    seed: int,
    validation: float,
    test: float | None = None,
) -> Split:
    """k folds over whole groups, stratified by label; independent of the order of the cases.

    labels, groups: of each case, in the order of `ids` or by id.
    validation: the share of each fold's training part that steers training, in (0, 1).
    test: for k=1 the share of all cases that is tested, in (0, 1); None for k > 1.
    Raises UserError when the groups do not allow such folds.
    """
    label_of, group_of = _by_id(ids, labels), _by_id(ids, groups)
    names = np.array(sorted(ids), dtype=object)
    y = np.array([label_of[name] for name in names])
    g = np.array([group_of[name] for name in names])
    _raise(_impossible(y, g, k, validation, test))

    if test is None:
        tested = draw_folds(y, g, k, seed)
        held_out = [tested == fold for fold in range(k)]
    else:
        held_out = [_take(y, g, test, derive_seed(seed, "test"), "folds.test", "test part")]
    return folds_of(names, y, g, held_out, seed, validation)


def folds_of(
    names: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    tested: Sequence[np.ndarray],
    seed: int,
    validation: float,
) -> Split:
    """A fold for each test part; the validation part of each is drawn from its other cases, over whole groups.

    names: ids of the cases, object (cases,), ascending; labels, groups: theirs. tested: bool (cases,) for each fold.
    Raises UserError for folds that cut a group, or leave a class without a case to train on.
    """
    folds = []
    for index, out in enumerate(tested):
        inside = np.flatnonzero(~out)
        draw, place = derive_seed(seed, "validation", index), f"validation part of fold {index}"
        steering = _take(labels[inside], groups[inside], validation, draw, "folds.validation", place)
        train, steer = tuple(names[inside[~steering]]), tuple(names[inside[steering]])
        folds.append(Fold(index, train, steer, test=tuple(names[out])))
    split = Split(tuple(folds))
    label_of = dict(zip(names, labels.tolist(), strict=True))
    _raise([*check_split(split, dict(zip(names, groups.tolist(), strict=True))), *_untaught(split, label_of)])
    return split


def split_from_file(
    path: Path,
    ids: Sequence[str],
    groups: Sequence[str] | Mapping[str, str],
    skipped: Collection[str] = (),
) -> Split:
    """Folds from a CSV with the columns case, fold (0, 1, ...) and part (train, validation, test).

    groups: of each case, in the order of `ids` or by id.
    skipped: ids that the audit left out; the file may name them, and their rows are passed over.
    Raises UserError with everything that is wrong with the file.
    """
    group_of = _by_id(ids, groups)
    rows, problems = _read_rows(Path(path))
    parts: defaultdict[int, dict[str, list[str]]] = defaultdict(lambda: {part: [] for part in PARTS})
    unknown: dict[str, int] = {}
    left_out = set(skipped) - group_of.keys()
    for line, case, fold, part in rows:
        if case in group_of:
            parts[fold][part].append(case)
        elif case not in left_out:
            unknown.setdefault(case, line)
    for position, (case, line) in enumerate(unknown.items()):
        meant = nearest(case, group_of) if position < _NAMES_LOOKED_UP else ""
        problems.append(Problem("folds.from", "no such case", f"{path}:{line}", case, meant))
    split = Split(
        tuple(
            Fold(index, **{part: tuple(sorted(cases)) for part, cases in parts[index].items()})
            for index in sorted(parts)
        )
    )
    # Rows that could not be read would be reported a second time, as missing cases.
    if not problems:
        problems += check_split(split, group_of, where="folds.from", source=str(path))
    _raise(shortened(problems))
    return split


def check_split(split: Split, groups: Mapping[str, str], where: str = "folds", source: str = "") -> list[Problem]:
    """Everything that is wrong with `split` as folds of the cases in `groups` (case id -> group id)."""
    messages: list[str] = []
    indices = [fold.index for fold in split.folds]
    if not indices:
        messages.append("there is not a single fold")
    elif indices != list(range(len(indices))):
        messages.append(f"folds must be numbered 0, 1, 2, ...; these are {', '.join(map(str, indices))}")
    for fold in split.folds:
        messages += [f"fold {fold.index}: {message}" for message in _fold_faults(fold, groups)]
    if len(split.folds) > 1:
        times = Counter(case for fold in split.folds for case in set(fold.test))
        repeated = sorted(case for case, count in times.items() if count > 1)
        never = sorted(case for case in groups if case not in times)
        if repeated:
            messages.append(f"in the test part of more than one fold: {_listed(repeated)}")
        if never:
            messages.append(f"in the test part of no fold: {_listed(never)}")
    return [Problem(where, message, source) for message in messages]


def _fold_faults(fold: Fold, groups: Mapping[str, str]) -> Iterable[str]:
    parts_of: defaultdict[str, list[str]] = defaultdict(list)
    for part, cases in fold.parts().items():
        if not cases:
            yield f"the {part} part is empty"
        for case in cases:
            parts_of[case].append(part)
    foreign = sorted(case for case in parts_of if case not in groups)
    missing = sorted(case for case in groups if case not in parts_of)
    if foreign:
        yield f"no such cases: {_listed(foreign)}"
    if missing:
        yield f"cases in no part: {_listed(missing)}"
    for case in sorted(parts_of):
        if len(parts_of[case]) > 1:
            yield f"case {case!r} is there {len(parts_of[case])} times: in {', '.join(parts_of[case])}"
    members: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for part, cases in fold.parts().items():
        for case in cases:
            if case in groups:
                members[groups[case]].setdefault(part, case)
    for group in sorted(members):
        if len(set(members[group].values())) > 1:  # one case in two parts has been told
            places = ", ".join(f"{case!r} in {part}" for part, case in members[group].items())
            yield f"the group of {group!r} is cut: {places}"


def _impossible(
    labels: np.ndarray, groups: np.ndarray, k: int, validation: float, test: float | None
) -> Iterable[Problem]:
    """Why no split can be drawn, as far as that can be told beforehand."""
    if k < 1:
        yield Problem("folds.k", "must be at least 1", value=k)
    if k == 1 and test is None:
        yield Problem("folds.test", "a single fold needs the share of cases to test on, such as 0.2")
    if k > 1 and test is not None:
        yield Problem("folds.test", f"only for k: 1; with k: {k} each fold tests 1/{k} of the cases", value=test)
    for key, share in (("validation", validation), ("test", test)):
        if share is not None and not 0 < share < 1:
            yield Problem(f"folds.{key}", "must lie between 0 and 1, both excluded", value=share)
    if len(labels) == 0:
        yield Problem("dataset", "there is no usable case to make folds of")
    needed = max(k, 2)
    for label, count in groups_per_class(labels, groups).items():
        if count == 1:
            message = f"all cases of the class {label!r} are in one group, so they cannot be both trained and tested on"
            yield Problem("folds.group", message)
        elif count < needed:
            message = f"the class {label!r} has only {count} groups, fewer than folds; k can be at most {count}"
            yield Problem("folds.k", message, value=k)


def _take(labels: np.ndarray, groups: np.ndarray, share: float, seed: int, where: str, part: str) -> np.ndarray:
    taken = draw_share(labels, groups, share, seed)
    if taken is None:
        count = len(np.unique(groups))
        raise UserError(Problem(where, f"the {part} would be empty: {count} groups cannot be divided so", value=share))
    return taken


def _untaught(split: Split, labels: Mapping[str, str]) -> list[Problem]:
    """A class without a training case cannot be predicted; missing elsewhere it is only not measured (`gaps`)."""
    classes = sorted(set(labels.values()))
    return [
        Problem("folds", f"fold {fold.index}: no {label!r} case is left to train on; it has too few groups")
        for fold in split.folds
        for label in classes
        if label not in {labels[case] for case in fold.train}
    ]


def _read_rows(path: Path) -> tuple[list[tuple[int, str, int, str]], list[Problem]]:
    """(line, case, fold, part) of the rows that can be understood, and a problem for each that cannot."""
    try:
        # Spreadsheets write a byte order mark.
        text = _bytes(path).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        numbered = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(Problem("folds.from", f"the file cannot be read: {reason}", value=str(path))) from error
    absent = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        message = f"the columns must be {', '.join(_COLUMNS)}; missing: {', '.join(absent)}"
        raise UserError(Problem("folds.from", message, str(path)))
    rows, problems = [], []
    for line, row in numbered:
        case, fold, part = ((row[column] or "").strip() for column in _COLUMNS)
        source = f"{path}:{line}"
        numeric = _FOLD.fullmatch(fold) is not None
        if not numeric:
            problems.append(Problem("folds.from", "the fold must be a number 0, 1, 2, ...", source, fold))
        if part not in PARTS:
            problems.append(Problem("folds.from", "no such part", source, part, nearest(part, PARTS), PARTS))
        if numeric and part in PARTS:
            rows.append((line, case, int(fold), part))
    return rows, problems


def _bytes(path: Path) -> bytes:
    """The content of a file. Raises OSError also for a device, which may never end, and for what is too large."""
    if path.exists() and not path.is_file():
        raise OSError("not a file")
    if path.stat().st_size > _MOST_BYTES:
        raise OSError(f"larger than {_MOST_BYTES // 1024**2} MB")
    return path.read_bytes()


def _by_id(ids: Sequence[str], values: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Case id -> its value, for exactly the cases in `ids`."""
    if len(set(ids)) != len(ids):
        raise ValueError("case ids must be unique")
    if isinstance(values, Mapping):
        return {id: values[id] for id in ids}
    return dict(zip(ids, values, strict=True))


def _raise(problems: Iterable[Problem]) -> None:
    found = list(problems)
    if found:
        raise UserError(found)


def _listed(cases: Sequence[str], limit: int = 10) -> str:
    return ", ".join(cases[:limit]) + (f" and {len(cases) - limit} more" if len(cases) > limit else "")
