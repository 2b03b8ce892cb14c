"""What workers read is made once, however many configurations share it, and is whole or not there."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.preparation import Provision, Survey, open_sources, provide, survey, write_audit
from experiments.sweep import Sweep, load_sweep
from utils.errors import UserError
from utils.images.cache import ImageCache
from utils.splits.table import read_split_table

Load = Callable[[str], Sweep]
OPTIONS = "{cases: 30, height: 64, width: 64}"
BASE = f"""\
name: s
dataset: {{name: phantom, image_size: 32, options: {OPTIONS}}}
model: {{encoder: shufflenet_v2_x0_5, encoder_weights: none}}
folds: {{k: 2}}
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> Sweep:
        path = tmp_path / "s.yaml"
        path.write_text(BASE + text, encoding="utf-8")
        return load_sweep(path)

    return load


class Stages(list[tuple[str, int, int]]):
    """The progress that was reported."""

    def __call__(self, name: str, done: int, total: int) -> None:
        self.append((name, done, total))

    def built(self) -> list[str]:
        """The names of the stages that came to an end."""
        return [name for name, done, total in self if done == total]


def provided(sweep: Sweep, results: Path, stages: Stages | None = None) -> tuple[Survey, dict[str, Provision]]:
    found = survey(sweep, open_sources(sweep, Stages()))
    return found, provide(found, sweep, results, stages if stages is not None else Stages())


def test_a_cache_for_each_size_and_preprocessing(load: Load, tmp_path: Path) -> None:
    stages = Stages()
    grid = "dataset.image_size: [32, [32, 48]], dataset.preprocessing: [[], [median]], training.lr: [0.1, 0.2]"
    found, provisions = provided(load(f"search: {{grid: {{{grid}}}}}\n"), tmp_path, stages)
    assert len(provisions) == 8
    assert len({provision.cache for provision in provisions.values()}) == 4
    assert sorted(stages.built()) == sorted(
        2 * ["Preparing 30 images at 32 x 32 pixels", "Preparing 30 images at 48 x 32 pixels"]
    )
    for planned in found.planned:
        cache = ImageCache(provisions[planned.id].cache)
        assert cache.images.shape == (30, *planned.configuration.settings.dataset.height_width)
        assert cache.ids == tuple(sorted(planned.source.contents))
    again = Stages()
    _, same = provided(load(f"search: {{grid: {{{grid}}}}}\n"), tmp_path, again)
    assert same == provisions and again == []


def test_the_split_is_written_once_and_is_a_split_to_start_from(load: Load, tmp_path: Path) -> None:
    found, provisions = provided(load("search: {grid: {training.lr: [0.1, 0.2]}}\n"), tmp_path)
    [path] = {provision.split_file for provision in provisions.values()}
    assert path == tmp_path / "runs" / "s" / "splits" / f"{found.planned[0].split.hash}.csv"
    written = path.stat().st_mtime_ns
    split, groups = read_split_table(path)
    assert split == found.planned[0].split and groups == found.sources[0].audit.groups
    provided(load("search: {grid: {training.lr: [0.1, 0.2]}}\n"), tmp_path)
    assert path.stat().st_mtime_ns == written

    changed = BASE.replace("folds: {k: 2}", f"folds: {{from: {path}}}")
    (tmp_path / "next.yaml").write_text(changed)
    following = load_sweep(tmp_path / "next.yaml")
    [planned] = survey(following, open_sources(following, Stages())).planned
    assert planned.split == split


def test_equal_folds_of_other_data_keep_their_own_groups(load: Load, tmp_path: Path) -> None:
    """Ids and labels make a split; which cases are copies of one another is a matter of the images."""
    options = "{cases: 30, height: 64, width: 64, near_duplicates: 0.3}"
    text = f"search: {{grid: {{dataset.options: [{OPTIONS}, {options}], folds.group: [none]}}}}\n"
    found, provisions = provided(load(text), tmp_path)
    one, other = found.planned
    assert one.split.hash == other.split.hash and one.source.audit.groups != other.source.audit.groups
    for planned in (one, other):
        split, groups = read_split_table(provisions[planned.id].split_file)
        assert split == planned.split and groups == planned.source.audit.groups
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / "s" / "splits").iterdir()}
    assert len(written) == 2
    assert provided(load(text), tmp_path)[1] == provisions
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_all_weights_that_cannot_be_had_at_once_and_nothing_built(load: Load, tmp_path: Path) -> None:
    (tmp_path / "garbage.pt").write_bytes(b"no weights")
    grid = f"""\
search:
  grid:
    model.encoder: [shufflenet_v2_x0_5, tu-test_resnet]
    model.encoder_weights: [none, {tmp_path}/missing.pt, {tmp_path}/garbage.pt]
    training.lr: [0.1, 0.2]
"""
    with pytest.raises(UserError) as raised:
        provided(load(grid), tmp_path / "results")
    values = sorted(str(problem.value) for problem in raised.value.problems)
    assert values == 2 * [str(tmp_path / "garbage.pt")] + 2 * [str(tmp_path / "missing.pt")]
    assert not (tmp_path / "results").exists()


def test_no_weights_are_no_file(load: Load, tmp_path: Path) -> None:
    _, provisions = provided(load(""), tmp_path)
    assert [provision.weights for provision in provisions.values()] == [None]


def test_the_audit_of_several_sources_is_one_table(load: Load, tmp_path: Path) -> None:
    options = [OPTIONS.replace("}", f", near_duplicates: 0.3, seed: {seed}}}") for seed in (1, 2)]
    sources = open_sources(load(f"search: {{grid: {{dataset.options: [{', '.join(options)}]}}}}\n"), Stages())
    path = tmp_path / "new" / "s_audit.csv"
    write_audit(sources.values(), path)
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["severity", "kind", "cases", "groups", "file", "message"]
    findings = [finding for source in sources.values() for finding in source.audit.findings]
    assert [(row[0], row[1], row[2]) for row in table[1:]] == [
        (finding.severity, finding.kind, ";".join(finding.cases)) for finding in findings
    ]
    assert all(sum(f.kind == "near_duplicate" for f in source.audit.findings) > 2 for source in sources.values())
