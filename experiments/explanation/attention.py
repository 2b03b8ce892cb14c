"""Attention maps: what the gates and the spatial attention of a network let through, read by forward hooks."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from segmentation_models_pytorch.base.modules import SCSEModule
from timm.layers.cbam import SpatialAttn
from torch import Tensor, nn

from experiments.explanation.layers import padded_size
from models.attention.modules.aca import AcaAttention
from models.attention.modules.additive_gate import AdditiveGate
from models.network import Network

_READ: dict[type[nn.Module], tuple[str, Callable[[Tensor], Tensor]]] = {
    AdditiveGate: ("coefficient", torch.sigmoid),
    AcaAttention: ("spatial", lambda map: map),
    SpatialAttn: ("gate", lambda map: map),
    SCSEModule: ("sSE", lambda map: map),
}
"""Kind of module -> its part whose output is the map (B, 1, h, w), and what makes that one of coefficients."""


def attention_maps(network: Network, images: Tensor) -> dict[str, np.ndarray]:
    """Dotted name of each module that attends to positions -> its coefficients, float32 (h, w) in [0, 1].

    images: (1, 1 or 3, h, w) in [0, 1]. In the order in which the network asks them; empty where it has none.
    Attention that only weighs channels has no map.
    """
    found: dict[str, Tensor] = {}
    handles = []
    for name, module in network.named_modules():
        if type(module) in _READ:
            part, finish = _READ[type(module)]
            keep = _keeping(found, name, finish)
            handles.append(module.get_submodule(part).register_forward_hook(keep))
    try:
        height, width = padded_size(network, images)
    finally:
        for handle in handles:
            handle.remove()
    own = images.shape[-2:]
    coefficients = {name: map[0, 0].float().cpu().numpy() for name, map in found.items()}
    return {name: cv2.resize(map, (width, height))[: own[0], : own[1]] for name, map in coefficients.items()}


def _keeping(
    found: dict[str, Tensor], name: str, finish: Callable[[Tensor], Tensor]
) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_: nn.Module, inputs: object, output: Tensor) -> None:
        found[name] = finish(output.detach())

    return keep
