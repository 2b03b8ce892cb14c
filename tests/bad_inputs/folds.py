"""Folds that cannot be drawn from the data, and files of folds that do not fit them."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from tests.bad_inputs.bad_input import BadInputs, Make, sweep
from tests.bad_inputs.data import CLASSES, SWEEP, image, mask, write

bad = BadInputs("s_audit.csv")


def _drawn(folds: str) -> Make:
    return lambda folder: sweep(folder, SWEEP.replace("{k: 3, validation: 0.3}", folds))


def _from(text: str | bytes, path: str = "folds.csv") -> Make:
    def make(folder: Path) -> None:
        (folder / "folds.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        _drawn(f"{{from: {path}}}")(folder)

    return make


def _rows(change: dict[str, str] | None = None) -> str:
    """One fold of all cases: the first two of a class are tested, the third is for validation.

    change: case id -> another part, '' for none.
    """
    lines = ["case,fold,part"]
    for label in CLASSES:
        for number in range(1, 7):
            case = f"{label}/{label} ({number})"
            part = (change or {}).get(case, {1: "test", 2: "test", 3: "validation"}.get(number, "train"))
            lines += [f"{case},0,{part}"] if part else []
    return "\n".join(lines) + "\n"


bad.add(
    "fewer_cases_than_folds",
    _drawn("{k: 9}"),
    *[("folds.k", f"the class '{label}' has only 6 groups, fewer than folds; k can be at most 6") for label in CLASSES],
)
bad.add("more_folds_to_use_than_there_are", _drawn("{k: 3, use: 4}"), ("folds.use (sweep.yaml:3)", "only 3 folds"))


@bad(("folds.group", "all cases of the class 'benign' are in one group"))
def one_group_that_holds_a_whole_class(folder: Path) -> None:
    first = cv2.imread(str(image(folder)), cv2.IMREAD_UNCHANGED)
    for number in range(2, 7):
        write(image(folder, number=number), np.clip(first.astype(int) + number, 0, 255).astype(np.uint8))
    sweep(folder, SWEEP)


@bad(("dataset", "no usable case is labelled 'normal'"))
def a_class_without_cases(folder: Path) -> None:
    shutil.rmtree(folder / "data" / "normal")
    (folder / "data" / "normal").mkdir()
    sweep(folder, SWEEP)


@bad(("dataset.root", "the class folders hold no PNG image"))
def classes_without_cases(folder: Path) -> None:
    for path in (folder / "data").rglob("*.png"):
        path.unlink()
    sweep(folder, SWEEP)


@bad(("folds.group", "all cases of the class 'normal' are in one group"))
def a_class_with_one_case(folder: Path) -> None:
    for number in range(2, 7):
        image(folder, "normal", number).unlink()
        mask(folder, "normal", number).unlink()
    sweep(folder, SWEEP)


bad.add("folds_that_are_not_there", _from("", "fold.csv"), ("folds.from", "No such file", "got 'fold.csv'"))
bad.add("folds_that_are_a_folder", _from("", "data"), ("folds.from", "got 'data'"))
bad.add("folds_without_an_end", _from("", "/dev/zero"), ("folds.from", "got '/dev/zero'"))
bad.add("folds_with_a_nul", _from("", '"a\\0b.csv"'), ("folds.from", "got 'a\\x00b.csv'"))
bad.add("folds_of_nothing", _from(""), ("folds.from (folds.csv)", "missing: case, fold, part"))
bad.add("folds_without_a_row", _from("case,fold,part\n"), ("folds.from (folds.csv)", "there is not a single fold"))
bad.add("folds_of_other_columns", _from("id,fold,split\n"), ("folds.from (folds.csv)", "missing: case, part"))
bad.add("folds_in_utf_16", _from(_rows().encode("utf-16")), ("folds.from", "cannot be read", "got 'folds.csv'"))
bad.add("folds_of_binary_garbage", _from(b"\x89PNG\r\n\x1a\n\xff\x00" * 50), ("folds.from", "cannot be read"))
bad.add("folds_with_an_open_quote", _from(_rows() + '"benign'), ("folds.from", "cannot be read", "got 'folds.csv'"))
bad.add("folds_with_a_field_of_a_megabyte", _from(_rows() + "x" * 2**20), ("folds.from", "cannot be read"))
bad.add(
    "folds_of_nonsense",
    _from(
        _rows() + "benign/benin (1),0,train\nbenign/benign (1),one,test\nbenign/benign (1),-1,trian\n../../x,0,test\n"
    ),
    ("folds.from (folds.csv:20)", "no such case; got 'benign/benin (1)'; did you mean 'benign/benign (1)'?"),
    ("folds.from (folds.csv:21)", "the fold must be a number 0, 1, 2, ...; got 'one'"),
    ("folds.from (folds.csv:22)", "the fold must be a number", "got '-1'"),
    ("folds.from (folds.csv:22)", "no such part; got 'trian'; did you mean 'train'? Valid: train, validation, test."),
    ("folds.from (folds.csv:23)", "no such case; got '../../x'"),
)
bad.add(
    "folds_of_other_data",
    _from("case,fold,part\n" + "".join(f"patient {number},0,train\n" for number in range(500))),
    *[(f"folds.from (folds.csv:{number + 2})", f"no such case; got 'patient {number}'") for number in range(20)],
    ("folds.from", "the first of 480 more problems of this kind"),
)
bad.add(
    "folds_with_a_case_twice",
    _from(_rows() + "benign/benign (1),0,train\n"),
    ("folds.from (folds.csv)", "case 'benign/benign (1)' is there 2 times: in train, test"),
)
bad.add(
    "folds_without_a_case",
    _from(_rows({"benign/benign (1)": ""})),
    ("folds.from (folds.csv)", "fold 0: cases in no part: benign/benign (1)"),
)
bad.add(
    "folds_numbered_from_one", _from(_rows().replace(",0,", ",1,")), ("folds.from", "numbered 0, 1, 2, ...", "are 1")
)


@bad(("folds.from (folds.csv)", "the group of 'benign/benign (1)' is cut"))
def folds_that_cut_a_group(folder: Path) -> None:
    shutil.copy(image(folder), image(folder, number=4))
    _from(_rows())(folder)
