"""What a cache keeps of the data that know more than pixels: sources, millimetres, instances."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from utils.datasets.case import SOURCE, Case
from utils.datasets.histology.nuclei import Nuclei
from utils.datasets.joined import Joined
from utils.datasets.manifest import Manifest
from utils.datasets.miniatures import write_miniature
from utils.datasets.phantom import Phantom
from utils.errors import UserError
from utils.images.cache import ImageCache, build_cache


def cached(dataset: object, folder: Path) -> ImageCache:
    return ImageCache(build_cache(dataset, dataset.cases(), [], (24, 32), folder))  # type: ignore[arg-type, attr-defined]


def test_instances_are_kept_at_the_images_own_resolution(tmp_path: Path) -> None:
    dataset = Nuclei(write_miniature("nuclei", tmp_path / "data", 4))
    cache = pickle.loads(pickle.dumps(cached(dataset, tmp_path / "cache")))
    for case in dataset.cases():
        position = cache.index(case.id)
        np.testing.assert_array_equal(cache.native_instances(position), dataset.read_instances(case))
        np.testing.assert_array_equal(cache.native_instances(position) > 0, cache.native_mask(position))
    assert set(cache.sources) == {None} and set(cache.spacings) == {None}


def test_sources_and_millimetres_are_kept(tmp_path: Path) -> None:
    dataset = Manifest(write_miniature("manifest", tmp_path / "data", 3))
    cache = cached(dataset, tmp_path / "cache")
    assert cache.sources == tuple(case.attributes[SOURCE] for case in dataset.cases())
    assert cache.spacings == ((0.1, 0.12),) * len(cache)
    assert cache.native_instances(0) is None


def test_millimetres_of_some_cases_are_those_of_none(tmp_path: Path) -> None:
    sources = {
        "north": {"name": "manifest", "root": write_miniature("manifest", tmp_path / "data", 3)},
        "made": {"name": "phantom", "options": {"cases": 4, "height": 64, "width": 64}},
    }
    cache = cached(Joined(sources=sources), tmp_path / "cache")
    assert set(cache.spacings) == {None} and set(cache.sources) == {"north", "made"}


def test_a_cache_of_plain_data_is_what_it_was(tmp_path: Path) -> None:
    cache = cached(Phantom(cases=4, height=64, width=64), tmp_path)
    names = {path.name for path in cache.path.iterdir()}
    assert "native_instances.u16" not in names and "sources" not in (cache.path / "manifest.json").read_text()


class Astray(Nuclei):
    """Instances that are not the mask's."""

    def read_instances(self, case: Case) -> np.ndarray:
        return np.roll(super().read_instances(case), 1, axis=0)


def test_instances_that_do_not_fit_their_mask_are_refused(tmp_path: Path) -> None:
    dataset = Astray(write_miniature("nuclei", tmp_path / "data", 4))
    with pytest.raises(UserError, match="its instances are not the pixels of its mask"):
        cached(dataset, tmp_path / "cache")


def test_images_that_a_step_cannot_take_are_named_at_once(tmp_path: Path) -> None:
    dataset = Nuclei(write_miniature("nuclei", tmp_path / "data", 4))
    with pytest.raises(UserError) as caught:
        build_cache(dataset, dataset.cases(), [("glcm_channels", {})], (24, 32), tmp_path / "cache")
    assert [problem.where for problem in caught.value.problems] == sorted(case.id for case in dataset.cases())
    assert all("grey before it" in problem.message for problem in caught.value.problems)
    assert list((tmp_path / "cache").iterdir()) == []


def test_steps_that_cannot_follow_each_other_are_refused_before_an_image_is_read(tmp_path: Path) -> None:
    dataset = Nuclei(write_miniature("nuclei", tmp_path / "data", 4))
    with pytest.raises(UserError) as caught:
        build_cache(dataset, dataset.cases(), [("glcm_channels", {}), ("median", {})], (24, 32), tmp_path / "cache")
    assert [problem.where for problem in caught.value.problems] == ["dataset.preprocessing"]


def test_texture_channels_of_grey_images_are_cached_as_colours_are(tmp_path: Path) -> None:
    dataset = Phantom(cases=4, height=64, width=64)
    steps = [("grey", {}), ("glcm_channels", {})]
    cache = ImageCache(build_cache(dataset, dataset.cases(), steps, (24, 32), tmp_path))
    assert cache.images.shape == (4, 24, 32, 3)
    plain = ImageCache(build_cache(dataset, dataset.cases(), [], (24, 32), tmp_path))
    assert np.array_equal(cache.images[..., 0], plain.images)
    assert np.array_equal(cache.masks, plain.masks)
