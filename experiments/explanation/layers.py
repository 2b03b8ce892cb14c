"""The layer of a network whose output is looked at: one of the encoder's features, or any module by its dotted name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.encoders.encoder import Encoder
from models.network import Network
from utils.errors import Problem, UserError, nearest


@dataclass(frozen=True)
class Layer:
    """name: for people. module: a part of the network. feature: which of its outputs, None for the only one."""

    name: str
    module: nn.Module
    feature: int | None = None

    @contextmanager
    def tapped(self) -> Iterator[nn.Module]:
        """A module that, meanwhile, is given this layer's output (B, C, h, w) in every pass of the network, and returns
        it: what has an output of its own can be hooked, whatever the encoder answers its features in.

        Raises UserError, from within the pass, for an output that is no map.
        """
        tap = nn.Identity()

        def watch(_: nn.Module, inputs: Any, output: Any) -> Any:
            seen = output if self.feature is None else output[self.feature]
            if not isinstance(seen, Tensor) or seen.ndim != 4:
                message = "its output is no map of (batch, channels, height, width)"
                raise UserError(Problem("--layer", message, value=self.name))
            tap(seen)
            # The network goes on with a copy: an activation function in place would overwrite what was looked at.
            if self.feature is None:
                return seen.clone()
            return [seen.clone() if place == self.feature else each for place, each in enumerate(output)]

        handle = self.module.register_forward_hook(watch)
        try:
            yield tap
        finally:
            handle.remove()


def layer_named(network: Network, name: str | None = None) -> Layer:
    """The layer with this name; the encoder's deepest feature for None.

    name: the number of one of the encoder's features, 1 for the finest, or a module such as ``encoder.layer4.1``.
    Raises UserError for one that the network does not have.
    """
    channels = cast(Encoder, network.encoder).out_channels
    features = [str(stage) for stage, count in enumerate(channels) if stage > 0 and count > 0]
    wanted = features[-1] if name is None else name
    if wanted in features:
        return Layer(f"encoder feature {wanted}", network.encoder, int(wanted))
    modules = {path: module for path, module in network.named_modules() if path}
    if wanted not in modules:
        message = "no such layer: give the number of an encoder's feature or a module's dotted name"
        likely = nearest(wanted, modules)
        raise UserError(Problem("--layer", message, "", wanted, likely, _choices(features, list(modules), wanted)))
    return Layer(wanted, modules[wanted])


def padded_size(network: Network, images: Tensor) -> tuple[int, int]:
    """(height, width) that images (B, C, h, w) have where the encoder sees them: its strides divide the sides."""
    sizes: list[torch.Size] = []
    handle = network.encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    try:
        with torch.no_grad():
            network(images)
    finally:
        handle.remove()
    return sizes[0][-2], sizes[0][-1]


def _choices(features: list[str], modules: list[str], wanted: str) -> tuple[str, ...]:
    """The features, and the modules one step below the deepest part of the wanted name that there is."""
    parent = wanted
    while parent and parent not in modules:
        parent = parent.rpartition(".")[0]
    depth = parent.count(".") + 1 if parent else 0
    below = [path for path in modules if path.startswith(parent and f"{parent}.") and path.count(".") == depth]
    return (*features, *below)
