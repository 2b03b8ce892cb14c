"""Latent augmentations by name, and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.latent_augmentation.registry import LATENT_AUGMENTATIONS

if TYPE_CHECKING:
    from models.latent_augmentation.latent_augmentation import LatentAugmentation

Classes = Annotated[tuple[str, ...], Field(min_length=1)] | None
Feeds = Literal["head", "decoder"]
Probability = Annotated[float, Field(gt=0, le=1)]
Strength = Annotated[float, Field(gt=0, le=10)]
Alpha = Annotated[float, Field(ge=0.05, le=100)]


@LATENT_AUGMENTATIONS.register("noise")
def noise(
    *, strength: Strength = 0.1, probability: Probability = 0.5, classes: Classes = None, feeds: Feeds = "head"
) -> LatentAugmentation:
    """Gaussian noise.

    strength: its standard deviation, in standard deviations of the sample's feature over all channels and positions.
    probability: with which a sample is augmented; the others keep training what is met in testing.
    classes: names of the classes to augment; null: those with fewer training cases than an equal share.
    feeds: who sees the augmented feature: the classification head alone, or the decoder too.
    """
    from models.latent_augmentation.modules.noise import Noise

    return Noise(feeds, classes, probability, strength)


@LATENT_AUGMENTATIONS.register("intra_class_mixup")
def intra_class_mixup(
    *,
    alpha: Alpha = 1.0,
    strength: Strength = 0.1,
    probability: Probability = 0.5,
    classes: Classes = None,
    feeds: Feeds = "head",
) -> LatentAugmentation:
    """Mix-up (Zhang et al. 2018, arXiv 1710.09412) with another sample of the same class, so that labels stay.

    alpha: weights are drawn from Beta(alpha, alpha); 1 is uniform, more is nearer to halves, less to either sample.
    strength: of the noise that replaces it where a class has one sample in the batch.
    probability, classes, feeds: as for `noise`; for the decoder the masks are mixed by the same weights.
    """
    from models.latent_augmentation.modules.mixup import IntraClassMixup

    return IntraClassMixup(feeds, classes, probability, alpha, strength, always_noisy=False)


@LATENT_AUGMENTATIONS.register("both")
def both(
    *,
    alpha: Alpha = 1.0,
    strength: Strength = 0.1,
    probability: Probability = 0.5,
    classes: Classes = None,
    feeds: Feeds = "head",
) -> LatentAugmentation:
    """Mix-up within the class, then noise; options as for `intra_class_mixup`."""
    from models.latent_augmentation.modules.mixup import IntraClassMixup

    return IntraClassMixup(feeds, classes, probability, alpha, strength, always_noisy=True)
