"""What holds for every dataset in a folder: it reads its miniature, leaks no group, and refuses what is not its own."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.datasets import DATASETS
from utils.datasets.case import KnowsInstances
from utils.datasets.miniatures import MINIATURES, write_miniature
from utils.errors import UserError
from utils.splits.audit import audit
from utils.splits.folds import make_split

NAMES = ("busi", "folders", "manifest", "mias", "cbis_ddsm", "inbreast", "oral_epithelium", "nuclei")
WITH_PATIENTS = tuple(name for name in NAMES if name not in ("busi", "folders"))
# What is wrong with the data that a miniature stands for is wrong with the miniature.
FAULTS = {"mias": {"unreadable_mask": 1}}
Folder = Callable[[str], Path]

each_dataset = pytest.mark.parametrize("name", NAMES)


def test_every_dataset_in_a_folder_has_a_miniature(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such miniature"):
        write_miniature("nothing", tmp_path)
    assert set(MINIATURES) == set(NAMES) == set(DATASETS) - {"phantom", "joined", "crops"}


@each_dataset
def test_it_reads_its_miniature(name: str, miniature: Folder) -> None:
    dataset = DATASETS[name](miniature(name))
    cases = dataset.cases()
    assert len(cases) >= 12
    assert [case.id for case in cases] == sorted({case.id for case in cases})
    assert {case.label for case in cases} == set(dataset.classes)
    report = audit(dataset, workers=1)
    assert {kind.kind: 1 for kind in report.errors} == FAULTS.get(name, {})
    assert "orphan_mask" not in {finding.kind for finding in report.findings}
    for case in report.usable[::3]:
        image, mask = dataset.read_image(case), dataset.read_mask(case)
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape[:2] == mask.shape and set(np.unique(mask)) <= {0, 1}
        assert image.std() > 5, "as good as nothing to be seen"
        assert mask.any() == (case.label in dataset.lesion_classes)
        if isinstance(dataset, KnowsInstances):
            instances = dataset.read_instances(case)
            assert instances.dtype == np.int32 and np.array_equal(instances > 0, mask > 0)


@each_dataset
def test_the_content_is_of_the_case_and_not_of_where_it_lies(name: str, miniature: Folder, copied: Folder) -> None:
    here, there = DATASETS[name](miniature(name)), DATASETS[name](copied(name))
    contents = {case.id: here.content(case) for case in here.cases()}
    assert contents == {case.id: there.content(case) for case in there.cases()}
    assert len(set(contents.values())) == len(contents)
    first = here.cases()[0]
    assert here.content(dataclasses.replace(first, label="other")) != contents[first.id]
    assert here.content(dataclasses.replace(first, group="other")) != contents[first.id]


@pytest.mark.parametrize("name", WITH_PATIENTS)
def test_every_patient_has_several_images(name: str, miniature: Folder) -> None:
    members: defaultdict[str | None, list[str]] = defaultdict(list)
    for case in DATASETS[name](miniature(name)).cases():
        members[case.group].append(case.id)
    assert None not in members and len(members) == 6
    assert min(map(len, members.values())) == 2


@pytest.fixture(scope="module")
def grouped(miniature: Folder) -> Callable[[str], tuple[list[str], list[str], dict[str, str], dict[str, str | None]]]:
    """Name of a dataset -> ids, labels, groups as audited, and patients as the dataset tells them."""
    known: dict[str, tuple[list[str], list[str], dict[str, str], dict[str, str | None]]] = {}

    def of(name: str) -> tuple[list[str], list[str], dict[str, str], dict[str, str | None]]:
        if name not in known:
            report = audit(DATASETS[name](miniature(name)), workers=1)
            ids, labels = [case.id for case in report.usable], [case.label for case in report.usable]
            known[name] = ids, labels, dict(report.groups), {case.id: case.group for case in report.usable}
        return known[name]

    return of


@settings(max_examples=16, deadline=None)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**63 - 1))
def test_no_fold_cuts_a_patient_or_separates_near_copies(grouped: Callable[..., tuple], name: str, seed: int) -> None:
    ids, labels, groups, patients = grouped(name)
    # Few groups of two: a class may be all taken by validation, which is another test's matter.
    labels = labels if name == "cbis_ddsm" else ["all"] * len(labels)
    try:
        split = make_split(ids, labels, groups, k=2, seed=seed, validation=0.3)
    except UserError as error:
        assert "left to train on" in str(error)
        return
    for fold in split.folds:
        for of in (groups, patients):
            parts = [{of[case] for case in part} - {None} for part in fold.parts().values()]
            assert sum(map(len, parts)) == len(set.union(*parts))


@each_dataset
@pytest.mark.parametrize("kind", ["none", "missing", "file", "empty", "other layout"])
def test_a_wrong_root_is_one_problem_that_says_what_to_do(name: str, kind: str, tmp_path: Path) -> None:
    root: Path | None = tmp_path / "data"
    if kind == "none":
        root = None
    elif kind == "file":
        root.write_bytes(b"\0")
    elif kind == "empty":
        root.mkdir()
    elif kind == "other layout":
        (root / "pictures").mkdir(parents=True)
        (root / "pictures" / "one.png").write_bytes(b"")
    dataset = DATASETS[name](root)
    with pytest.raises(UserError) as caught:
        dataset.cases()
    (problem,) = caught.value.problems
    assert problem.where == "dataset.root"
    assert f"Expected: {dataset.layout}" in problem.message and "--demo" in problem.message
    assert (root is None) == (problem.value is None)


@each_dataset
def test_a_link_that_leads_out_of_the_dataset_is_not_followed(name: str, copied: Folder, tmp_path: Path) -> None:
    dataset = DATASETS[name](copied(name))
    image = dataset.cases()[0].image
    outside = shutil.move(image, tmp_path / f"outside{image.suffix}")
    image.symlink_to(outside)
    dataset = DATASETS[name](dataset.root)
    (case,) = [case for case in dataset.cases() if case.image == image]
    with pytest.raises(OSError, match=r"outside of dataset\.root"):
        dataset.read_image(case)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, of a TIFF
@each_dataset
def test_a_damaged_image_is_an_error_of_its_case_alone(name: str, copied: Folder) -> None:
    dataset = DATASETS[name](copied(name))
    case, other, *_ = dataset.cases()
    case.image.write_bytes(case.image.read_bytes()[:400])
    dataset = DATASETS[name](dataset.root)
    assert case.id in [each.id for each in dataset.cases()]
    with pytest.raises(OSError, match=re.escape(str(case.image))):
        dataset.read_image(case)
    assert dataset.read_image(other).size
