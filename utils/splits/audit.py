"""Every file is opened before the first run: what is wrong with the data, and which cases belong together.

An error makes a case unfit for use (it stops the sweep, or is left out and recorded); a warning is for
a person to judge. Whether an outline is drawn in the right place is beyond it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from utils.datasets.case import CROP, Case, Dataset
from utils.errors import Problem, UserError
from utils.splits.duplicates import THRESHOLD, components, near_duplicate_sets, pixel_digest, sets_of, thumbnail
from utils.splits.findings import SEVERITIES, Audit, Finding, Severity

__all__ = ["Audit", "Finding", "FindsOrphanMasks", "Severity", "audit", "group_names"]

# What a damaged file can raise on its way through a dataset's reader.
_DAMAGED = (OSError, ValueError, cv2.error)


@runtime_checkable
class FindsOrphanMasks(Protocol):
    """What a `Dataset` may offer besides: mask files that belong to no image."""

    def orphan_masks(self) -> Iterable[Path]:
        """The files, in any order."""
        ...


@dataclass
class _Opened:
    """What is kept of a case once its files are closed; None for what could not be read."""

    findings: list[Finding] = field(default_factory=list)
    size: tuple[int, int] | None = None
    thumbnail: np.ndarray | None = None
    image_digest: str | None = None
    mask_digest: str | None = None


def audit(
    dataset: Dataset,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    threshold: float = THRESHOLD,
) -> Audit:
    """Opens every file of `dataset` and says what is wrong and what belongs together.

    on_progress: called with (cases opened, cases in all), in the calling thread.
    workers: threads; decoding releases the interpreter's lock. By default one for each processor, at most 8.
    threshold: thumbnails that correlate above this make a near-duplicate.
    Raises UserError when the dataset has no cases at all.
    """
    cases = sorted(dataset.cases(), key=lambda case: case.id)
    if not cases:
        raise UserError(Problem("dataset", "there is not a single case in it; look at dataset.root"))
    opened = _open_all(dataset, cases, on_progress, workers or min(8, os.cpu_count() or 1))

    pictured = [index for index, each in enumerate(opened) if each.thumbnail is not None]
    thumbnails = np.array([opened[index].thumbnail for index in pictured], dtype=np.float32)
    near = [tuple(pictured[member] for member in members) for members in near_duplicate_sets(thumbnails, threshold)]
    exact = [
        tuple(pictured[member] for member in members)
        for members in sets_of([opened[index].image_digest for index in pictured])
    ]
    # A picture without contrast correlates with nothing, not even with its own copy.
    near = sets_of(components(len(cases), [*near, *exact]))

    findings = [finding for each in opened for finding in each.findings]
    findings += _exact_findings(cases, opened, exact)
    findings += _near_findings(cases, opened, near)
    findings += _dataset_findings(dataset, cases)
    unfit = {case for finding in findings if finding.severity == "error" for case in finding.cases}
    usable = tuple(case for case in cases if case.id not in unfit)
    findings += _class_findings(dataset, usable)
    names = _group_names(cases, near, unfit)
    return Audit(
        findings=tuple(sorted(findings, key=_order)),
        usable=usable,
        skipped=tuple(case for case in cases if case.id in unfit),
        groups={case.id: names[case.id] for case in usable},
        sizes={case.id: each.size for case, each in zip(cases, opened, strict=True) if each.size and case.id in names},
        near_duplicate_sets=tuple(_ids(cases, members) for members in near),
    )


def group_names(cases: Sequence[Case], near: Iterable[Sequence[int]] = ()) -> dict[str, str]:
    """Case id -> the smallest case id of its group.

    Cases with the same `Case.group` (a patient) belong together, and so do the cases at the positions of
    each set in `near`; a patient's images thus stay with every near-copy of any of them.
    """
    return _group_names(cases, near, unfit=frozenset())


def _group_names(cases: Sequence[Case], near: Iterable[Sequence[int]], unfit: Iterable[str]) -> dict[str, str]:
    """`group_names` of the cases that are not `unfit`; those still link the others, but name no group."""
    # Tuples and integers never compare equal, so that a case without a group is alone.
    patients = sets_of([("group", case.group) if case.group is not None else index for index, case in enumerate(cases)])
    labels = components(len(cases), [*patients, *near])
    left_out = frozenset(unfit)
    members: defaultdict[int, list[str]] = defaultdict(list)
    for case, label in zip(cases, labels, strict=True):
        if case.id not in left_out:
            members[label].append(case.id)
    return {case: min(ids) for ids in members.values() for case in ids}


def _open_all(
    dataset: Dataset, cases: Sequence[Case], on_progress: Callable[[int, int], None] | None, workers: int
) -> list[_Opened]:
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="audit") as threads:
        futures = [threads.submit(_open, dataset, case) for case in cases]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if on_progress is not None:
                    on_progress(done, len(cases))
        except BaseException:
            # Ctrl-C should not wait for the other 49,000 files.
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _open(dataset: Dataset, case: Case) -> _Opened:
    """Reads one case's image and mask and checks each, and the one against the other."""
    opened = _Opened()
    try:
        image = dataset.read_image(case)
    except _DAMAGED as error:
        opened.findings.append(_about(case, "unreadable_image", "error", case.image, str(error)))
    else:
        opened.size = (image.shape[0], image.shape[1])
        opened.thumbnail = thumbnail(image)
        opened.image_digest = pixel_digest(image)
        if image.min() == image.max():
            message = f"every pixel is {image.min()}: there is nothing to see"
            opened.findings.append(_about(case, "blank_image", "warning", case.image, message))
    _open_mask(dataset, case, opened)
    return opened


def _open_mask(dataset: Dataset, case: Case, opened: _Opened) -> None:
    """Adds to `opened` what the case's mask says."""
    absent = [path for path in case.masks if not path.exists()]
    if absent or (case.image is not None and not case.masks and not case.unmarked):
        message = "there is no mask file for this image" if not absent else "the mask file does not exist"
        opened.findings.append(_about(case, "missing_mask", "error", absent[0] if absent else case.image, message))
        return
    # Which of several masks is at fault, the message says.
    file = ";".join(str(path) for path in case.masks)
    try:
        mask = dataset.read_mask(case)
    except ValueError as error:
        opened.findings.append(_about(case, "mask_size_mismatch", "error", file, str(error)))
        return
    except _DAMAGED as error:
        opened.findings.append(_about(case, "unreadable_mask", "error", file, str(error)))
        return
    opened.mask_digest = pixel_digest(mask)
    height, width = mask.shape[:2]
    if opened.size is not None and opened.size != (height, width):
        message = f"the mask is {width}x{height} pixels, its image {opened.size[1]}x{opened.size[0]}"
        opened.findings.append(_about(case, "mask_size_mismatch", "error", file, message))
    if case.label in dataset.lesion_classes and not mask.any() and CROP in case.attributes:
        message = f"the crop ({case.attributes[CROP]}) of a {case.label!r} case holds nothing of its lesion"
        opened.findings.append(_about(case, "lesion_outside_crop", "warning", file, message))
    elif case.label in dataset.lesion_classes and not mask.any():
        message = f"the mask of a {case.label!r} case must show a lesion; it is empty"
        opened.findings.append(_about(case, "empty_lesion_mask", "error", file, message))
    if case.label not in dataset.lesion_classes and mask.any():
        message = f"the mask of a {case.label!r} case shows a lesion of {int(np.count_nonzero(mask))} pixels"
        opened.findings.append(_about(case, "lesion_in_normal", "warning", file, message))


def _exact_findings(
    cases: Sequence[Case], opened: Sequence[_Opened], exact: Iterable[Sequence[int]]
) -> Iterable[Finding]:
    """One finding for each set of images that are the same to the pixel."""
    for members in exact:
        labels = sorted({cases[index].label for index in members})
        if len(labels) > 1:
            # At most one of the labels is right, and nothing in the data says which: no copy can be used.
            message = f"the same image under {len(labels)} labels: {', '.join(labels)}"
            yield Finding("label_conflict", "error", _ids(cases, members), "", message)
            continue
        differing = len({opened[index].mask_digest for index in members}) > 1
        message = f"the same image {len(members)} times" + (", with different masks" if differing else "")
        yield Finding("exact_duplicate", "warning", _ids(cases, members), "", message)


def _near_findings(
    cases: Sequence[Case], opened: Sequence[_Opened], near: Iterable[Sequence[int]]
) -> Iterable[Finding]:
    """Findings for each set of near-copies, beyond what exact copies explain."""
    for members in near:
        if len({opened[index].image_digest for index in members}) == 1:
            continue
        ids = _ids(cases, members)
        labels = sorted({cases[index].label for index in members})
        yield Finding("near_duplicate", "warning", ids, "", f"{len(members)} nearly equal images")
        if len(labels) > 1:
            message = f"nearly equal images under {len(labels)} labels: {', '.join(labels)}"
            yield Finding("near_duplicate_label_conflict", "warning", ids, "", message)


def _dataset_findings(dataset: Dataset, cases: Sequence[Case]) -> Iterable[Finding]:
    """Ids used twice, labels outside the dataset's classes, masks without an image."""
    for id, count in Counter(case.id for case in cases).items():
        if count > 1:
            yield Finding("duplicate_id", "error", (id,), "", f"{count} cases have this id")
    for case in cases:
        if case.label not in dataset.classes:
            message = f"the label {case.label!r} is none of {', '.join(dataset.classes)}"
            yield _about(case, "unknown_label", "error", case.image, message)
    if isinstance(dataset, FindsOrphanMasks):
        for path in dataset.orphan_masks():
            yield Finding("orphan_mask", "warning", (), str(path), "a mask without an image")


def _class_findings(dataset: Dataset, usable: Sequence[Case]) -> Iterable[Finding]:
    """Classes that nothing can be learnt about."""
    present = {case.label for case in usable}
    for label in dataset.classes:
        if label not in present:
            yield Finding("empty_class", "warning", (), "", f"no usable case is labelled {label!r}")
    if len(present) == 1:
        yield Finding("single_class", "warning", (), "", "one class only: there is nothing to diagnose")


def _about(case: Case, kind: str, severity: Severity, file: Path | str | None, message: str) -> Finding:
    return Finding(kind, severity, (case.id,), str(file) if file else "", message)


def _ids(cases: Sequence[Case], members: Iterable[int]) -> tuple[str, ...]:
    return tuple(sorted(cases[index].id for index in members))


def _order(finding: Finding) -> tuple[int, str, tuple[str, ...], str, str]:
    return SEVERITIES.index(finding.severity), finding.kind, finding.cases, finding.file, finding.message
