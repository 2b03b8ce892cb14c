"""What runs read, from the driver's disk to a worker's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.storage.provisions import Provider, fetch, located
from experiments.storage.store import DamageError, Store
from experiments.training.spec import RunSpec
from utils.images.cache import ImageCache


def test_places_on_a_machine_with_another_folder(machines: Any, spec: RunSpec, on: Any) -> None:
    driver, second, _ = machines
    split_file = driver.results / "runs" / "tiny" / "splits" / "abc.csv"
    weights = Path("/home/of/driver/weights.pt")
    spec = replace(spec, cache=driver.results / "cache" / "abc", split_file=split_file, weights=weights)
    assert located(spec) == replace(spec, weights=located(spec).weights), "of itself, the same paths as the driver's"
    on(second)
    here = located(spec)
    assert here.folder == second.run
    assert here.cache == second.results / "cache" / "abc"
    assert here.split_file == second.results / "runs" / "tiny" / "splits" / "abc.csv"
    assert here.weights is not None and here.weights.is_relative_to(second.results)
    assert replace(here, folder=spec.folder, cache=spec.cache, split_file=spec.split_file, weights=spec.weights) == spec


def test_a_machine_that_has_nothing_gets_cache_folds_and_weights(
    bench: Any, machines: Any, spec: RunSpec, folder_store: Store, on: Any, tmp_path: Path
) -> None:
    weights = tmp_path / "elsewhere" / "encoder.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    spec = replace(spec, weights=weights)
    Provider(folder_store).put(weights)
    on(machines[1])
    here = located(spec)
    fetch(folder_store, spec, here)
    assert ImageCache(here.cache).ids == bench.cache.ids
    assert here.split_file.read_bytes() == spec.split_file.read_bytes()
    assert here.weights is not None and here.weights.read_bytes() == b"weights"


def test_what_lies_there_is_not_put_again_and_new_content_is(folder_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("first")
    Provider(folder_store).put(path)
    before = {key: Path(folder_store.url.removeprefix("file://"), key) for key in folder_store.keys("provisions")}
    times = {key: file.stat().st_mtime_ns for key, file in before.items()}
    Provider(folder_store).put(path)
    assert {key: file.stat().st_mtime_ns for key, file in before.items()} == times
    path.write_text("second")
    Provider(folder_store).put(path)
    assert len(folder_store.keys("provisions")) == len(before) + 1


def test_what_the_store_has_lost_is_named_and_put_again_by_the_driver(
    machines: Any, spec: RunSpec, folder_store: Store, on: Any
) -> None:
    on(machines[1])
    folder_store.delete([key for key in folder_store.keys("provisions") if not key.endswith(".json")])
    with pytest.raises(DamageError, match="provisions"):
        fetch(folder_store, spec, located(spec))
    for path in (spec.cache, spec.split_file):
        Provider(folder_store).put(path)
    fetch(folder_store, spec, located(spec))
