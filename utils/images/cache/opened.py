"""A finished cache, as every run sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import Problem, UserError
from utils.images.cache.manifest import INSTANCES, read_manifest


class ImageCache:
    """A finished cache, opened read-only. Pickled as its path, and opened again where it is unpickled."""

    path: Path
    ids: tuple[str, ...]
    """The case ids, sorted; everything below is in this order."""
    classes: tuple[str, ...]
    labels: np.ndarray
    """int64 (N,): indices into `classes`."""
    groups: tuple[str, ...]
    """(N,): the group of each case, its own id where none was given."""
    images: np.ndarray
    """uint8 (N, height, width), or (N, height, width, 3) if any image of the data set has colours."""
    masks: np.ndarray
    """uint8 of 0 and 1, (N, height, width)."""
    sources: tuple[str | None, ...]
    """(N,): which of several sources each case is from; None where the data does not say."""
    spacings: tuple[tuple[float, float] | None, ...]
    """(N,): height and width of a pixel of the original image in mm; None unless the data says it of every case."""

    def __init__(self, path: Path, groups: Mapping[str, str] | None = None) -> None:
        """Opens the folder that `build_cache` answered; `groups`: case id -> group.

        Only the sizes of the files are checked here, since every run opens the cache; `build_cache` compares
        hashes. Raises UserError if files are missing or of another size.
        """
        self.path = Path(path)
        try:
            manifest = read_manifest(self.path)
        except ValueError as error:
            raise UserError(
                Problem(str(path), f"the image cache is damaged ({error}); start the sweep again to rebuild it")
            ) from error
        self.ids = tuple(manifest["ids"])
        self.classes = tuple(manifest["classes"])
        self._given_groups = None if groups is None else {id_: groups[id_] for id_ in self.ids if id_ in groups}
        self.sources = tuple(manifest.get("sources", [None] * len(self.ids)))
        self.spacings = tuple(each and (each[0], each[1]) for each in manifest.get("spacings", [None] * len(self.ids)))
        self.groups = tuple((self._given_groups or {}).get(id_, id_) for id_ in self.ids)
        self._positions = {id_: position for position, id_ in enumerate(self.ids)}
        self.images = self._array("images.npy")
        self.masks = self._array("masks.npy")
        self.labels = self._array("labels.npy")
        self._sizes = self._array("sizes.npy").tolist()
        self._offsets = self._array("offsets.npy").tolist()
        self._bits = np.asarray(np.memmap(self.path / "native_masks.bits", np.uint8, mode="r"))
        self._instances: np.ndarray | None = None
        if INSTANCES in manifest["files"]:
            self._instances = np.asarray(np.memmap(self.path / INSTANCES, np.uint16, mode="r"))
            self._starts = np.cumsum([0, *(height * width for height, width in self._sizes)]).tolist()

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, id_: str) -> int:
        """The position of a case. Raises KeyError if it is not in the cache."""
        return self._positions[id_]

    def native_size(self, position: int) -> tuple[int, int]:
        """(height, width) of the original image, in pixels."""
        height, width = self._sizes[position]
        return height, width

    def native_mask(self, position: int) -> np.ndarray:
        """The mask at the resolution of the original image: uint8 of 0 and 1, (height, width)."""
        height, width = self._sizes[position]
        bits = self._bits[self._offsets[position] : self._offsets[position + 1]]
        return np.unpackbits(bits, count=height * width).reshape(height, width)

    def native_instances(self, position: int) -> np.ndarray | None:
        """uint16, (height, width): 1, 2, ... for the instances of `native_mask`; None where the data knows none."""
        if self._instances is None:
            return None
        pixels = self._instances[self._starts[position] : self._starts[position + 1]]
        return pixels.reshape(self.native_size(position))

    def _array(self, name: str) -> np.ndarray:
        # Plain views of the map: slicing np.memmap itself takes several times as long.
        return np.asarray(np.load(self.path / name, mmap_mode="r", allow_pickle=False))

    def __reduce__(self) -> tuple[type[ImageCache], tuple[Any, ...]]:
        return type(self), (self.path, self._given_groups)
