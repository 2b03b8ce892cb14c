"""From the model section of a configuration to its network, and to what that network costs."""

from __future__ import annotations

import functools
from pathlib import Path

from experiments.sweep import ModelSettings
from models.cost import Cost, cost
from models.network import Network


def build_network(model: ModelSettings, classes: int, weights: Path | None = None) -> Network:
    """The network of a configuration. Raises UserError where its parts do not fit together."""
    return Network(
        model.encoder,
        decoder=(model.decoder.name, model.decoder.options),
        classes=classes,
        encoder_weights=weights,
        classification_head=model.classification_head,
        bottleneck=(model.bottleneck.name, model.bottleneck.options),
        batch_norm_momentum=model.batch_norm_momentum,
    )


def network_cost(model: ModelSettings, classes: int, image_size: tuple[int, int]) -> Cost:
    """Parameters and operations of a configuration's network at (height, width); each is counted once a process."""
    return _cost(model.model_dump_json(), classes, image_size)


# Keyed by text: settings hold dicts (a part's options) and cannot be hashed.
@functools.lru_cache(maxsize=1024)
def _cost(model: str, classes: int, image_size: tuple[int, int]) -> Cost:
    settings = ModelSettings.model_validate_json(model)
    return cost(lambda: build_network(settings, classes), image_size)
