"""What a run drew on a few validation cases after every epoch, for an animation of its learning."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.faults import interruption_behind
from utils.files import write_atomically
from utils.images.cache import ImageCache

SNAPSHOTS = "snapshots.npz"
"""The file in a run's folder. No result depends on it, so that the record does not seal it."""


@dataclass(frozen=True)
class Snapshots:
    """Probability maps of N cases after E epochs.

    cases: N ids. epochs: E numbers, rising, 1 being the first. maps: uint8 (E, N, H, W), at the network's size;
    255 is a probability of 1.
    """

    cases: tuple[str, ...]
    epochs: tuple[int, ...]
    maps: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[str], size: tuple[int, int]) -> Snapshots:
        """Those of a run that has not begun; size: (height, width) of the network."""
        return cls(tuple(cases), (), np.empty((0, len(cases), *size), np.uint8))

    def after(self, epoch: int, maps: Sequence[np.ndarray]) -> Snapshots:
        """These and one more epoch's. maps: probabilities in [0, 1], (H, W) each, in the order of `cases`."""
        drawn = np.stack([np.rint(np.clip(map_, 0, 1) * 255).astype(np.uint8) for map_ in maps])
        return Snapshots(self.cases, (*self.epochs, epoch), np.concatenate([self.maps, drawn[None]]))

    def continues(self, other: Snapshots) -> bool:
        """Whether both are of the same cases at the same size."""
        return self.cases == other.cases and self.maps.shape[2:] == other.maps.shape[2:]

    def until(self, epoch: int) -> Snapshots:
        """Without what came after an epoch."""
        count = sum(number <= epoch for number in self.epochs)
        return replace(self, epochs=self.epochs[:count], maps=self.maps[:count])

    def write(self, path: Path) -> None:
        """Writes the file atomically; the same snapshots are always the same bytes."""
        cases, epochs = np.array(self.cases, dtype=np.str_), np.array(self.epochs, dtype=np.int64)
        write_atomically(path, lambda file: np.savez_compressed(file, cases=cases, epochs=epochs, maps=self.maps))

    @classmethod
    def read(cls, path: Path) -> Snapshots | None:
        """What is in the file; None where there is none or it cannot be read, which is said in a warning."""
        try:
            with np.load(path, allow_pickle=False) as file:
                cases, epochs, maps = (file[name] for name in ("cases", "epochs", "maps"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            if interruption := interruption_behind(error):
                raise interruption from None
            warnings.warn(f"{path} cannot be read ({error}); going on without it", stacklevel=2)
            return None
        if maps.dtype != np.uint8 or maps.ndim != 4 or maps.shape[:2] != (len(epochs), len(cases)):
            warnings.warn(f"{path} holds no snapshots; going on without it", stacklevel=2)
            return None
        return cls(tuple(cases.tolist()), tuple(epochs.tolist()), maps)


def cases_to_show(cache: ImageCache, positions: Sequence[int], count: int) -> list[int]:
    """The first so many of the positions, in the cache's order, whose case has a lesion."""
    return [position for position in sorted(positions) if cache.masks[position].any()][:count]
