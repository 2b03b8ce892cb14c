"""Several datasets as one: ids, groups and labels of the whole, and mistakes in the terms of the sweep file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from utils.datasets import DATASETS
from utils.datasets.joined import Joined
from utils.errors import UserError
from utils.splits.audit import audit

Folder = Callable[[str], Path]


@pytest.fixture
def sources(miniature: Folder) -> dict[str, dict[str, object]]:
    return {
        "clinic": {"name": "manifest", "root": str(miniature("manifest"))},
        "public": {"name": "busi", "root": str(miniature("busi"))},
    }


def test_cases_are_those_of_the_sources_and_say_so(sources: dict[str, dict[str, object]], miniature: Folder) -> None:
    whole = Joined(sources=sources)
    clinic, public = DATASETS["manifest"](miniature("manifest")), DATASETS["busi"](miniature("busi"))
    assert len(whole.cases()) == len(clinic.cases()) + len(public.cases())
    assert whole.classes == ("benign", "malignant", "normal") and whole.lesion_classes == ("benign", "malignant")
    by_id = {case.id: case for case in whole.cases()}
    assert list(by_id) == sorted(by_id)
    for name, dataset in {"clinic": clinic, "public": public}.items():
        own = dataset.cases()[3]
        case = by_id[f"{name}/{own.id}"]
        assert case.attributes["source"] == name
        assert case.group == (f"clinic/{own.group}" if own.group else None)
        np.testing.assert_array_equal(whole.read_image(case), dataset.read_image(own))
        np.testing.assert_array_equal(whole.read_mask(case), dataset.read_mask(own))
        assert whole.content(case) != dataset.content(own)
    assert audit(whole, workers=2).errors == ()


def test_patients_of_one_name_in_two_hospitals_are_two(miniature: Folder) -> None:
    source = {"name": "manifest", "root": miniature("manifest")}
    groups = [case.group for case in Joined(sources={"a": source, "b": source}).cases()]
    assert len(set(groups)) == 12


def test_labels_are_given_common_names(miniature: Folder) -> None:
    tissue = {"name": "nuclei", "root": str(miniature("nuclei")), "labels": {"healthy": "normal", "mild": "benign"}}
    whole = Joined(sources={"busi": {"name": "busi", "root": miniature("busi")}, "tissue": tissue})
    assert whole.classes == ("benign", "malignant", "normal", "moderate", "severe")
    # Healthy tissue has nuclei and a normal breast has no lesion: of `normal` nothing can be expected.
    assert whole.lesion_classes == ("benign", "malignant", "moderate", "severe")
    case = next(case for case in whole.cases() if case.id.startswith("tissue/healthy/"))
    assert case.label == "normal" and case.attributes["source"] == "tissue"
    assert whole.read_instances(case).max() > 2
    lesion = next(case for case in whole.cases() if case.id.startswith("busi/benign"))
    np.testing.assert_array_equal(whole.read_instances(lesion) > 0, whole.read_mask(lesion) > 0)


def test_roots_may_be_relative_to_one(sources: dict[str, dict[str, object]], copied: Folder, tmp_path: Path) -> None:
    copied("busi"), copied("manifest")
    near = {name: {**source, "root": source["name"]} for name, source in sources.items()}
    there, here = Joined(tmp_path, sources=near), Joined(sources=sources)
    assert [there.content(case) for case in there.cases()] == [here.content(case) for case in here.cases()]


def test_masks_without_an_image_are_found_in_every_source(
    sources: dict[str, dict[str, object]], copied: Folder
) -> None:
    root = copied("busi")
    orphan = shutil.copy(next(root.rglob("*_mask.png")), root / "normal" / "alone_mask.png")
    sources["public"]["root"] = root
    assert Joined(sources=sources).orphan_masks() == [Path(orphan)]


def test_every_mistake_is_told_as_the_file_names_it(tmp_path: Path, miniature: Folder) -> None:
    busi = {"name": "busi", "root": miniature("busi")}
    said = {
        "dataset.options.sources.a.name: no such dataset; got 'bussi'; did you mean 'busi'?": {"name": "bussi"},
        "dataset.options.sources.a.options.caese: ": {"name": "phantom", "options": {"caese": 3}},
        "dataset.options.sources.a.options.cases: ": {"name": "phantom", "options": {"cases": 0}},
        "dataset.options.sources.a.root: no such folder": {"name": "busi", "root": tmp_path / "none"},
        "dataset.options.sources.a.labels: no such label; got 'bening'; did": {**busi, "labels": {"bening": "b"}},
        "dataset.options.sources.a.options.mask: must": {
            "name": "folders",
            "root": miniature("folders"),
            "options": {"mask": "m"},
        },
    }
    for text, source in said.items():
        with pytest.raises(UserError) as caught:
            Joined(sources={"a": source, "b": busi}).cases()
        (problem,) = caught.value.problems
        assert str(problem).startswith(text), str(problem)


def test_a_name_that_could_mix_up_ids_is_refused(miniature: Folder) -> None:
    with pytest.raises(UserError, match="a source must have a name without /; got 'a/b'"):
        Joined(sources={"a/b": {"name": "busi", "root": miniature("busi")}}).cases()


def test_options_are_checked_with_the_sweep_file() -> None:
    checked = DATASETS.check("joined", {"sources": {"a": {"name": "busi", "root": "data"}}})
    assert checked["sources"]["a"]["name"] == "busi"
    for wrong in (
        {},
        {"sources": {}},
        {"sources": {"a": {"root": "x"}}},
        {"sources": {"a": {"name": "b", "rot": "x"}}},
    ):
        with pytest.raises(ValueError):
            DATASETS.check("joined", wrong)
