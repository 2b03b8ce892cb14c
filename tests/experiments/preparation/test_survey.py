"""What a sweep would run on which data: sources opened once, folds that cut no group, ids that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.preparation import Survey, open_sources, survey
from experiments.sweep import Sweep, load_sweep
from utils.datasets.phantom import Phantom
from utils.errors import UserError
from utils.images.reading import read_image
from utils.splits.folds import Split

Load = Callable[[str], Sweep]
DATA = "dataset: {name: phantom, image_size: 32, options: {cases: 36, height: 96, width: 112, near_duplicates: 0.3}}\n"
MODEL = "model: {encoder: shufflenet_v2_x0_5, encoder_weights: none}\n"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> Sweep:
        path = tmp_path / "s.yaml"
        path.write_text(f"name: s\n{MODEL}{text}", encoding="utf-8")
        return load_sweep(path)

    return load


def silent(name: str, done: int, total: int) -> None:
    """A preparation that nobody watches."""


def surveyed(sweep: Sweep) -> Survey:
    return survey(sweep, open_sources(sweep, silent))


def cut(split: Split, copies: dict[str, str]) -> int:
    """Pairs of a copy and its original that stand on two sides of a fold."""
    side = [{case: part for part, cases in fold.parts().items() for case in cases} for fold in split.folds]
    return sum(parts[copy] != parts[original] for parts in side for copy, original in copies.items())


def test_groups_of_near_duplicates_of_the_dataset_and_none(load: Load) -> None:
    cases = Phantom(cases=36, height=96, width=112, near_duplicates=0.3).cases()
    copies = {case.id: case.attributes["copy_of"] for case in cases if "copy_of" in case.attributes}
    assert len(copies) > 5
    crossings = {"near_duplicates": 0, "patient": 0, "none": 0}
    ids = {}
    for group in crossings:
        found = surveyed(load(DATA + f"folds: {{group: {group}}}\nsearch: {{grid: {{folds.seed: [1, 2, 3]}}}}\n"))
        crossings[group] = sum(cut(planned.split, copies) for planned in found.planned)
        ids[group] = {planned.id for planned in found.planned}
    assert crossings["near_duplicates"] == 0
    # Phantoms have no groups of their own, so that both of the others leave the copies where they fall.
    assert crossings["patient"] > 0 and crossings["none"] > 0
    # The folds are the same then, and so are the ids: what is computed is the same.
    assert ids["patient"] == ids["none"]
    assert len(ids["near_duplicates"] | ids["none"]) == 6


def test_groups_of_the_dataset_stay_together(load: Load) -> None:
    """`patient` keeps a dataset's own groups, such as patients; `none` does not."""
    sweep = load(DATA + "folds: {k: 2}\nsearch: {grid: {folds.group: [patient, none]}}\n")
    [(key, source)] = open_sources(sweep, silent).items()
    patients = {case.id: f"{case.label}, {index // 2}" for index, case in enumerate(source.audit.usable)}
    usable = tuple(replace(case, group=patients[case.id]) for case in source.audit.usable)
    found = survey(sweep, {key: replace(source, audit=replace(source.audit, usable=usable))})

    def divided(split: Split) -> int:
        parts = [{patients[case] for case in cases} for fold in split.folds for cases in fold.parts().values()]
        return sum(map(len, parts)) - len(split.folds) * len(set(patients.values()))

    together, apart = (planned.split for planned in found.planned)
    assert divided(together) == 0 < divided(apart)


def test_a_source_is_opened_once_for_all_that_see_it_alike(load: Load) -> None:
    opened: list[tuple[str, int, int]] = []
    sweep = load(DATA + "search: {grid: {training.lr: [0.1, 0.2], dataset.image_size: [32, 64]}}\n")
    sources = open_sources(sweep, lambda *progress: opened.append(progress))
    assert len(sources) == 1
    assert opened == [("Opening the cases of phantom", done, 36) for done in range(1, 37)]
    found = survey(sweep, sources)
    assert len({planned.id for planned in found.planned}) == 4
    assert len({planned.split.hash for planned in found.planned}) == 1


def test_several_datasets_in_one_grid(load: Load) -> None:
    found = surveyed(load(DATA + "search: {grid: {dataset.options.seed: [7, 8], training.lr: [0.1, 0.2]}}\n"))
    assert [source.name for source in found.sources] == ["phantom", "phantom"]
    assert len({source.data for source in found.sources}) == 2
    seeds = [planned.configuration.varied["dataset.options.seed"] for planned in found.planned]
    data = [planned.source.data for planned in found.planned]
    assert seeds == [7, 7, 8, 8] and data[0] == data[1] != data[2] == data[3]
    assert len({planned.id for planned in found.planned}) == 4


def test_ids_are_a_matter_of_content_not_of_place(load: Load, tmp_path: Path) -> None:
    ids = []
    for name in ("here", "there"):
        root = Phantom(cases=30, height=64, width=64).write_busi_layout(tmp_path / name)
        [planned] = surveyed(load(f"dataset: {{name: busi, root: {root}, image_size: 32}}\n")).planned
        ids.append((planned.id, planned.source.data, planned.split.hash))
    assert ids[0] == ids[1]
    changed = next((tmp_path / "there").glob("benign/benign (3).png"))
    cv2.imwrite(str(changed), np.ascontiguousarray(read_image(changed)[::-1]))
    [planned] = surveyed(load(f"dataset: {{name: busi, root: {tmp_path / 'there'}, image_size: 32}}\n")).planned
    assert planned.id != ids[0][0] and planned.source.data != ids[0][1]


def test_how_many_folds_are_run_changes_no_id(load: Load) -> None:
    all_of_them, some = surveyed(load(DATA)), surveyed(load(DATA + "folds: {use: 2}\n"))
    assert (all_of_them.planned[0].folds, some.planned[0].folds) == (3, 2)
    assert all_of_them.planned[0].id == some.planned[0].id
    assert len(some.planned[0].split.folds) == 3


def damaged_busi(folder: Path) -> Path:
    """30 cases, of which one image is no image and another has no mask."""
    root = Phantom(cases=30, height=64, width=64).write_busi_layout(folder)
    (root / "benign" / "benign (2).png").write_bytes(b"no image")
    for mask in root.glob("malignant/malignant (1)_mask*"):
        mask.unlink()
    return root


def test_errors_in_the_data_stop_or_are_left_out(load: Load, tmp_path: Path) -> None:
    root = damaged_busi(tmp_path / "busi")
    data = f"dataset: {{name: busi, root: {root}, image_size: 32, on_error: %s}}\n"
    with pytest.raises(UserError) as raised:
        surveyed(load(data % "stop"))
    assert {problem.where for problem in raised.value.problems} == {"benign/benign (2)", "malignant/malignant (1)"}
    [planned] = surveyed(load(data % "skip")).planned
    cases = {case for part in planned.split.folds[0].parts().values() for case in part}
    assert len(cases) == 28 and cases.isdisjoint({"benign/benign (2)", "malignant/malignant (1)"})
    assert set(planned.source.contents) == cases


def test_the_errors_of_all_datasets_are_told_at_once(load: Load, tmp_path: Path) -> None:
    first, second = damaged_busi(tmp_path / "a"), damaged_busi(tmp_path / "b")
    text = f"dataset: {{name: busi, image_size: 32}}\nsearch: {{grid: {{dataset.root: [{first}, {second}]}}}}\n"
    with pytest.raises(UserError) as raised:
        surveyed(load(text))
    sources = [problem.source for problem in raised.value.problems]
    assert sum(str(first) in source for source in sources) == sum(str(second) in source for source in sources) == 2


def test_all_datasets_that_are_not_there_are_told_at_once(load: Load, tmp_path: Path) -> None:
    nowhere = f"dataset: {{name: busi}}\nsearch: {{grid: {{dataset.root: [{tmp_path / 'a'}, {tmp_path / 'b'}]}}}}\n"
    with pytest.raises(UserError) as raised:
        open_sources(load(nowhere), silent)
    text = "\n".join(map(str, raised.value.problems))
    assert str(tmp_path / "a") in text and str(tmp_path / "b") in text


def test_impossible_folds_are_the_users_error(load: Load) -> None:
    with pytest.raises(UserError, match=r"folds\.k"):
        surveyed(load(DATA + "folds: {k: 20}\n"))


def test_more_folds_than_a_file_has(load: Load, tmp_path: Path) -> None:
    found = surveyed(load(DATA))
    file = tmp_path / "folds.csv"
    file.write_text(found.planned[0].split.to_csv())
    again = surveyed(load(DATA + f"folds: {{from: {file}}}\n"))
    assert again.planned[0].split == found.planned[0].split
    with pytest.raises(UserError, match=r"folds\.use.*only 3 folds"):
        surveyed(load(DATA + f"folds: {{from: {file}, use: 4}}\n"))


def test_a_survey_writes_nothing(load: Load, tmp_path: Path) -> None:
    sweep = load(DATA)
    before = sorted(tmp_path.rglob("*"))
    surveyed(sweep)
    assert sorted(tmp_path.rglob("*")) == before


def test_two_roots_of_the_same_data_are_told(load: Load, tmp_path: Path) -> None:
    roots = [Phantom(cases=30, height=64, width=64).write_busi_layout(tmp_path / name) for name in ("a", "b")]
    text = f"dataset: {{name: busi, image_size: 32}}\nsearch: {{grid: {{dataset.root: [{roots[0]}, {roots[1]}]}}}}\n"
    with pytest.raises(UserError, match="would compute the same"):
        surveyed(load(text))


def test_a_class_that_the_data_do_not_have_is_told_before_anything_runs(load: Load) -> None:
    text = DATA + "search: {cases: [{name: one, model.latent_augmentation: {noise: {classes: [malignent]}}}]}\n"
    with pytest.raises(UserError, match="did you mean 'malignant'") as caught:
        surveyed(load(text))
    assert caught.value.problems[0].where == "model.latent_augmentation"
