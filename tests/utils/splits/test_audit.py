from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets.busi import Busi
from utils.datasets.case import Case
from utils.errors import UserError
from utils.images.reading import merge_masks, read_image, read_mask
from utils.splits.audit import Audit, audit, group_names
from utils.splits.folds import make_split

BUSI_MINI = Path(__file__).parents[3] / "../shared/data/busi_mini"
needs_busi_mini = pytest.mark.skipif(not BUSI_MINI.is_dir(), reason="the BUSI images are not beside the repository")


class Folder:
    """A dataset of PNG files that a test puts together, faults and all."""

    classes: tuple[str, ...] = ("benign", "malignant", "normal")
    lesion_classes: tuple[str, ...] = ("benign", "malignant")

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content_of: list[Case] = []
        self.seed = 0

    def picture(self, size: tuple[int, int] = (40, 56)) -> np.ndarray:
        """Unlike every other picture of this dataset."""
        self.seed += 1
        rng = np.random.default_rng(self.seed)
        return cv2.resize(rng.integers(0, 256, (10, 10), dtype=np.uint8), size[::-1])

    def add(
        self,
        id: str,
        label: str = "benign",
        image: np.ndarray | bytes | None = None,
        mask: np.ndarray | bytes | list[np.ndarray] | None = None,
        group: str | None = None,
    ) -> Case:
        image = self.picture() if image is None else image
        if mask is None:
            size = (40, 56) if isinstance(image, bytes) else image.shape[:2]
            mask = np.zeros(size, dtype=np.uint8)
            if label in self.lesion_classes:
                mask[5:15, 8:20] = 255
        number = len(self.content_of)
        masks = mask if isinstance(mask, list) else [mask]
        case = Case(
            id,
            label,
            self.write(f"{number}.png", image),
            tuple(self.write(f"{number}_mask_{index}.png", each) for index, each in enumerate(masks)),
            group,
        )
        self.content_of.append(case)
        return case

    def write(self, name: str, pixels: np.ndarray | bytes) -> Path:
        path = self.root / name
        path.write_bytes(pixels if isinstance(pixels, bytes) else cv2.imencode(".png", pixels)[1].tobytes())
        return path

    def cases(self) -> list[Case]:
        """As they were added: an audit does not depend on their order."""
        return list(self.content_of)

    def read_image(self, case: Case) -> np.ndarray:
        assert case.image is not None
        return read_image(case.image)

    def read_mask(self, case: Case) -> np.ndarray:
        return merge_masks([read_mask(path) for path in case.masks])

    def content(self, case: Case) -> str:
        return case.id


class FolderWithOrphans(Folder):
    def orphan_masks(self) -> list[Path]:
        return [self.root / "alone_mask.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Six sound cases, two of each class."""
    dataset = Folder(tmp_path)
    for label in dataset.classes:
        for number in range(2):
            dataset.add(f"sound/{label} {number}", label)
    return dataset


def kinds(result: Audit) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(finding.severity, finding.kind, finding.cases) for finding in result.findings]


def test_nothing_to_find(folder: Folder) -> None:
    result = audit(folder)
    assert result.findings == ()
    assert list(result.usable) == sorted(folder.cases(), key=lambda case: case.id)
    assert result.skipped == ()
    assert result.groups == {case.id: case.id for case in folder.cases()}
    assert set(result.sizes.values()) == {(40, 56)}
    result.raise_on_errors()


def truncated(folder: Folder) -> None:
    folder.add("x", image=cv2.imencode(".png", folder.picture())[1].tobytes()[:60])


def no_image_at_all(folder: Folder) -> None:
    folder.add("x", image=b"nothing of the kind")


def image_gone(folder: Folder) -> None:
    case = folder.add("x")
    assert case.image is not None
    case.image.unlink()


def broken_mask(folder: Folder) -> None:
    folder.add("x", mask=b"nothing of the kind")


def no_masks(folder: Folder) -> None:
    folder.add("x", mask=[])


def mask_gone(folder: Folder) -> None:
    folder.add("x", mask=[np.full((40, 56), 255, np.uint8)] * 2).masks[1].unlink()


def mask_of_another_size(folder: Folder) -> None:
    folder.add("x", mask=np.full((56, 40), 255, np.uint8))


def masks_of_two_sizes(folder: Folder) -> None:
    folder.add("x", mask=[np.full((40, 56), 255, np.uint8), np.full((20, 28), 255, np.uint8)])


def empty_mask(folder: Folder) -> None:
    folder.add("x", "malignant", mask=np.zeros((40, 56), np.uint8))


def strange_label(folder: Folder) -> None:
    folder.add("x", "cyst")


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (truncated, "unreadable_image"),
        (no_image_at_all, "unreadable_image"),
        (image_gone, "unreadable_image"),
        (broken_mask, "unreadable_mask"),
        (no_masks, "missing_mask"),
        (mask_gone, "missing_mask"),
        (mask_of_another_size, "mask_size_mismatch"),
        (masks_of_two_sizes, "mask_size_mismatch"),
        (empty_mask, "empty_lesion_mask"),
        (strange_label, "unknown_label"),
    ],
)
def test_errors_leave_the_case_out(folder: Folder, plant: Callable[[Folder], None], kind: str) -> None:
    plant(folder)
    result = audit(folder)
    assert kinds(result) == [("error", kind, ("x",))]
    assert result.findings[0].file
    assert [case.id for case in result.skipped] == ["x"]
    assert len(result.usable) == 6
    assert "x" not in result.groups
    assert "x" not in result.sizes
    assert "x" in result.summary() and kind in result.summary()
    with pytest.raises(UserError) as raised:
        result.raise_on_errors()
    assert [problem.where for problem in raised.value.problems] == ["x"]


def test_every_error_of_a_case_and_of_all_cases_is_listed(folder: Folder) -> None:
    folder.add("x", image=b"", mask=b"")
    empty_mask(folder)
    folder.add("y", mask=[])
    result = audit(folder)
    assert [kind for _, kind, _ in kinds(result)] == [
        "duplicate_id",
        "empty_lesion_mask",
        "missing_mask",
        "unreadable_image",
        "unreadable_mask",
    ]
    with pytest.raises(UserError) as raised:
        result.raise_on_errors()
    assert len(raised.value.problems) == 5
    # Which of two cases an id means cannot be told: both are out.
    assert [case.id for case in result.skipped] == ["x", "x", "y"]


def test_warnings_leave_the_case_in(folder: Folder) -> None:
    lesion = np.zeros((40, 56), np.uint8)
    lesion[:3, :4] = 1
    folder.add("drawn", "normal", mask=lesion)
    folder.add("grey", "normal", image=np.full((40, 56), 9, np.uint8))
    result = audit(folder)
    assert kinds(result) == [("warning", "blank_image", ("grey",)), ("warning", "lesion_in_normal", ("drawn",))]
    assert "12 pixels" in result.findings[1].message
    assert len(result.usable) == 8
    result.raise_on_errors()


def test_exact_duplicates_are_grouped(folder: Folder) -> None:
    image = folder.picture()
    folder.add("b", image=image)
    folder.add("a", image=np.repeat(image[..., None], 3, axis=2))
    mask = np.zeros((40, 56), np.uint8)
    mask[0, 0] = 255
    folder.add("c", image=image, mask=mask)
    result = audit(folder)
    assert kinds(result) == [("warning", "exact_duplicate", ("a", "b", "c"))]
    assert "different masks" in result.findings[0].message
    assert {result.groups[id] for id in "abc"} == {"a"}
    assert result.near_duplicate_sets == (("a", "b", "c"),)


def test_exact_duplicates_without_contrast_are_grouped_too(folder: Folder) -> None:
    for id in "ab":
        folder.add(id, "normal", image=np.full((30, 30), 5, np.uint8))
    result = audit(folder)
    assert ("warning", "exact_duplicate", ("a", "b")) in kinds(result)
    assert result.groups["b"] == "a"


def test_near_duplicates_are_grouped(folder: Folder) -> None:
    image = folder.picture()
    folder.add("a", image=image)
    folder.add("b", image=cv2.resize(image, (70, 50)))
    result = audit(folder)
    assert kinds(result) == [("warning", "near_duplicate", ("a", "b"))]
    assert result.groups["a"] == result.groups["b"] == "a"
    assert "2 images with a near-copy, in 1 sets" in result.summary()


def test_near_duplicates_under_two_labels_are_a_warning(folder: Folder) -> None:
    image = folder.picture()
    folder.add("a", "benign", image=image)
    folder.add("b", "malignant", image=cv2.resize(image, (70, 50)))
    result = audit(folder)
    assert kinds(result) == [
        ("warning", "near_duplicate", ("a", "b")),
        ("warning", "near_duplicate_label_conflict", ("a", "b")),
    ]
    assert result.skipped == ()


def test_one_image_under_two_labels_is_an_error_of_all_copies(folder: Folder) -> None:
    image = folder.picture()
    folder.add("a", "benign", image=image)
    folder.add("b", "benign", image=image)
    folder.add("c", "malignant", image=image)
    folder.add("d", "malignant", image=cv2.resize(image, (70, 50)))
    result = audit(folder)
    assert kinds(result)[0] == ("error", "label_conflict", ("a", "b", "c"))
    assert [case.id for case in result.skipped] == ["a", "b", "c"]
    assert result.groups["d"] == "d"


def test_cases_left_out_still_link_the_others(folder: Folder) -> None:
    # a and c are alike only by way of b, and b has no mask.
    start, end = folder.picture(), folder.picture()
    alike = [cv2.addWeighted(start, 1 - weight, end, weight, 0) for weight in (0.2, 0.4, 0.6)]
    folder.add("a", image=alike[0])
    folder.add("b", image=alike[1], mask=[])
    folder.add("c", image=alike[2])
    small = [cv2.resize(each, (32, 32), interpolation=cv2.INTER_AREA).ravel() for each in alike]
    correlations = np.asarray(np.corrcoef(small))
    threshold = float((correlations[0, 2] + min(correlations[0, 1], correlations[1, 2])) / 2)
    assert correlations[0, 2] < threshold < correlations[0, 1]
    result = audit(folder, threshold=threshold)
    assert result.groups["a"] == result.groups["c"] == "a"


def test_a_patient_stays_with_every_near_copy_of_any_image(folder: Folder) -> None:
    image, other = folder.picture(), folder.picture()
    folder.add("m", image=image, group="patient 1")
    folder.add("n", group="patient 1")
    folder.add("b", image=cv2.resize(image, (70, 50)), group="patient 2")
    folder.add("c", image=other, group="patient 2")
    folder.add("z", image=other)
    folder.add("y")
    result = audit(folder)
    assert {id for id, group in result.groups.items() if group == "b"} == {"b", "c", "m", "n", "z"}
    assert result.groups["y"] == "y"


def test_group_names_without_near_copies() -> None:
    cases = [Case("c", "x", group="p"), Case("a", "x", group="p"), Case("b", "x"), Case("d", "x")]
    assert group_names(cases) == {"a": "a", "c": "a", "b": "b", "d": "d"}
    assert group_names(cases, near=[(0, 2)]) == {"a": "a", "c": "a", "b": "a", "d": "d"}


def test_orphan_masks_of_datasets_that_know_them(tmp_path: Path) -> None:
    dataset = FolderWithOrphans(tmp_path)
    for label in dataset.classes:
        dataset.add(label, label)
    result = audit(dataset)
    assert kinds(result) == [("warning", "orphan_mask", ())]
    assert result.findings[0].file.endswith("alone_mask.png")


def test_classes_without_cases(tmp_path: Path) -> None:
    dataset = Folder(tmp_path)
    dataset.add("a", "benign")
    dataset.add("b", "benign")
    result = audit(dataset)
    assert [finding.kind for finding in result.findings] == ["empty_class", "empty_class", "single_class"]


def test_no_cases_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        audit(Folder(tmp_path))


def test_csv_is_the_same_whatever_the_order(folder: Folder) -> None:
    image = folder.picture()
    folder.add("a, with a comma", image=image)
    folder.add('b "quoted"', image=image)
    truncated(folder)
    text = audit(folder, workers=1).to_csv()
    folder.content_of.reverse()
    assert audit(folder, workers=4).to_csv() == text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["severity", "kind", "cases", "groups", "file", "message"]
    assert [row["severity"] for row in rows] == ["error", "warning"]
    assert rows[1]["cases"].split(";") == ["a, with a comma", 'b "quoted"']
    assert rows[1]["groups"] == "a, with a comma"


def test_progress_counts_every_case_once(folder: Folder) -> None:
    truncated(folder)
    calls: list[tuple[int, int]] = []
    audit(folder, on_progress=lambda done, total: calls.append((done, total)), workers=3)
    assert calls == [(done, 7) for done in range(1, 8)]


def test_an_interrupt_in_the_progress_bar_ends_the_audit(folder: Folder) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(folder, on_progress=interrupt)


def test_summary_fits_one_screen(folder: Folder) -> None:
    for number in range(60):
        folder.add(f"empty {number}", mask=np.zeros((40, 56), np.uint8))
        folder.add(f"absent {number}", mask=[])
    text = audit(folder).summary()
    assert len(text.splitlines()) <= 24
    assert "60 empty_lesion_mask" in text
    assert "120 not usable" in text
    assert "57 more" in text


@pytest.fixture(scope="module")
def busi_mini() -> tuple[Busi, Audit]:
    dataset = Busi(BUSI_MINI)
    return dataset, audit(dataset)


@needs_busi_mini
def test_near_duplicates_of_busi_mini(busi_mini: tuple[Busi, Audit]) -> None:
    _, result = busi_mini
    assert len(result.usable) == 240
    assert result.skipped == ()
    assert [finding.kind for finding in result.findings] == ["near_duplicate"] * 39
    assert len(result.near_duplicate_sets) == 39
    assert sum(len(members) for members in result.near_duplicate_sets) == 82
    assert len(set(result.groups.values())) == 197


@needs_busi_mini
@pytest.mark.slow
@pytest.mark.parametrize("k", [3, 5])
def test_no_near_copy_of_busi_mini_crosses_a_fold(busi_mini: tuple[Busi, Audit], k: int) -> None:
    dataset, result = busi_mini
    cases = dataset.cases()
    small = [cv2.resize(dataset.read_image(case), (32, 32), interpolation=cv2.INTER_AREA).ravel() for case in cases]
    correlation = np.asarray(np.corrcoef(small))
    alike = [(cases[i].id, cases[j].id) for i, j in combinations(range(len(cases)), 2) if correlation[i, j] > 0.95]
    assert len(alike) >= 39
    for seed in (0, 1, 42, 2**40):
        labels = [case.label for case in cases]
        split = make_split([case.id for case in cases], labels, result.groups, k=k, seed=seed, validation=0.15)
        assert split.gaps({case.id: case.label for case in cases}) == ()
        for fold in split.folds:
            part_of = {case: part for part, members in fold.parts().items() for case in members}
            assert [pair for pair in alike if part_of[pair[0]] != part_of[pair[1]]] == []
            assert len(fold.test) / 240 == pytest.approx(1 / k, abs=0.02)
            assert len(fold.validation) / (240 - len(fold.test)) == pytest.approx(0.15, abs=0.015)


@needs_busi_mini
def test_folds_without_groups_would_cut_near_copies(busi_mini: tuple[Busi, Audit]) -> None:
    # The reason for all of this: the same draw over single cases puts near-copies on both sides.
    dataset, result = busi_mini
    ids, labels = [case.id for case in dataset.cases()], [case.label for case in dataset.cases()]
    fold = make_split(ids, labels, ids, k=3, seed=42, validation=0.15).folds[0]
    tested = set(fold.test)
    assert sum(len(tested & set(members)) not in (0, len(members)) for members in result.near_duplicate_sets) > 5
