"""What runs read, by way of the store: prepared images, folds and weights, put there once by the driver."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from experiments.ledger.record import seal
from experiments.storage.parcel import Parcel, Sent, receive
from experiments.storage.store import DamageError, Store
from experiments.training.spec import RunSpec
from utils.identity import digest

PLACE = "provisions"

FOLDER_VARIABLE = "SWEEP_RESULTS"
"""The environment variable of a machine that keeps its files elsewhere than at the driver's ``--results``."""


class Provider:
    """Puts what runs read into the store, each file once: files lie there by the hash of their content."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._there: set[str] | None = None
        self._put: set[Path] = set()

    def put(self, path: Path) -> None:
        """A file, or a folder of files."""
        if path in self._put:
            return
        if self._there is None:
            self._there = set(self._store.keys(PLACE))
        files = {}
        for file in _files(path):
            sealed = seal(file)
            sent = files[file.name] = Sent(f"{PLACE}/{sealed.sha256}", sealed.size, sealed.sha256)
            if sent.key not in self._there:
                self._store.put(file, sent.key)
                self._there.add(sent.key)
        manifest = Parcel(files, {"path": str(path)}).to_bytes()
        if self._store.read(_manifest(path)) != manifest:  # else a worker that reads it could see it half written
            self._store.write(_manifest(path), manifest)
        self._put.add(path)


def located(spec: RunSpec) -> RunSpec:
    """The spec with the places that its files have on this machine."""
    results = spec.folder.parents[3]  # over runs/<sweep>/<configuration>/fold-<i>
    here = Path(os.environ.get(FOLDER_VARIABLE, results))

    def place(path: Path) -> Path:
        if path.is_relative_to(results):
            return here / path.relative_to(results)
        return here / PLACE / digest(str(path)) / path.name

    weights = None if spec.weights is None else place(spec.weights)
    return replace(
        spec, folder=place(spec.folder), cache=place(spec.cache), split_file=place(spec.split_file), weights=weights
    )


def fetch(store: Store, wanted: RunSpec, here: RunSpec) -> None:
    """Makes sure that the files of a run are on this machine. wanted: the driver's spec; here: that of `located`.

    Raises DamageError where the store does not have them whole.
    """
    for path, place in ((wanted.cache, here.cache), (wanted.split_file, here.split_file)):
        _fetch(store.url, path, place)
    if wanted.weights is not None and here.weights is not None:
        _fetch(store.url, wanted.weights, here.weights)


# A worker executes many runs on the same data; looking once at gigabytes is enough.
@lru_cache(maxsize=64)
def _fetch(url: str, path: Path, place: Path) -> None:
    store = Store(url)
    parcel = Parcel.read(store, _manifest(path))
    if parcel is None:
        raise DamageError(f"{path} is not in {url}")
    folder = place.parent if set(parcel.files) == {place.name} else place
    folder.mkdir(parents=True, exist_ok=True)
    # Of several workers on this machine one fetches.
    with FileLock(place.parent / f".{place.name}.lock"):
        receive(store, parcel, folder, last="manifest.json")


def _files(path: Path) -> Iterable[Path]:
    return [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())


def _manifest(path: Path) -> str:
    return f"{PLACE}/{digest(str(path), 16)}.json"
