"""The registry of latent augmentations, and the one that does nothing; imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from utils.registry import Registry

if TYPE_CHECKING:
    from models.latent_augmentation.latent_augmentation import LatentAugmentation

LATENT_AUGMENTATIONS: Registry[Callable[..., LatentAugmentation | None]] = Registry("latent augmentation")


@LATENT_AUGMENTATIONS.register("none")
def none() -> None:
    """Features as they are."""
    return None
