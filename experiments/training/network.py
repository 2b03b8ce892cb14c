"""From the model section of a configuration to its network, and to what that network costs."""

from __future__ import annotations

import functools
from pathlib import Path

from experiments.sweep import ModelSettings
from models.cost import Cost, cost
from models.network import Network

PARTS = ("encoder", "decoder", "bottleneck", "attention", "latent_augmentation", "classification_head")


def build_network(model: ModelSettings, classes: int, weights: Path | None = None) -> Network:
    """The network of a configuration. Raises UserError where its parts do not fit together."""
    parts = {name: getattr(model, name) for name in PARTS}
    return Network(
        **{name: (part.name, part.options) for name, part in parts.items()},
        classes=classes,
        encoder_weights=weights,
        mask_channels=mask_channels(model, classes),
        deep_supervision=model.deep_supervision,
        batch_norm_momentum=model.batch_norm_momentum,
    )


def mask_channels(model: ModelSettings, classes: int) -> int:
    """Channels of the masks: one, or the background and the lesions of each diagnosis."""
    return 1 if model.segmentation_head == "binary" else 1 + classes


def network_cost(model: ModelSettings, classes: int, image_size: tuple[int, int]) -> Cost:
    """Parameters and operations of a configuration's network at (height, width); each is counted once a process."""
    return _cost(model.model_dump_json(), classes, image_size)


# Keyed by text: settings hold dicts (a part's options) and cannot be hashed.
@functools.lru_cache(maxsize=1024)
def _cost(model: str, classes: int, image_size: tuple[int, int]) -> Cost:
    settings = ModelSettings.model_validate_json(model)
    return cost(lambda: build_network(settings, classes), image_size)
