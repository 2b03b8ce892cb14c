"""Attention on the features that skip from encoder to decoder, for decoders that do not place it themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.attention import ATTENTION, Attend


def attending(attention: tuple[str, Mapping[str, Any]]) -> Attend:
    """What makes a module of a kind of attention, given as (name, options), for a skip and its gate."""
    name, options = attention[0], ATTENTION.check(*attention)
    return lambda channels, gate_channels: ATTENTION[name](channels, gate_channels, **options)


def skips_read(encoder: nn.Module, decoder: nn.Module, side: int) -> tuple[int, ...]:
    """The levels between the image and the deepest feature that a decoder's output depends on, found by trying.

    side: of a square image that both can process.
    """
    was_training = encoder.training, decoder.training
    encoder.eval()
    decoder.eval()
    device = next(encoder.parameters()).device
    # Networks are also built where gradients are off, which is no reason to find no dependence.
    with torch.enable_grad():
        features = [feature.detach() for feature in encoder(torch.zeros(1, 3, side, side, device=device))]
        probes = [feature.requires_grad_() for feature in features]
        output = decoder(probes)
        outputs = [output] if isinstance(output, Tensor) else list(output)
        total = torch.stack([part.sum() for part in outputs]).sum()
        gradients = torch.autograd.grad(total, probes, allow_unused=True)
    encoder.train(was_training[0])
    decoder.train(was_training[1])
    skips = range(1, len(features) - 1)
    return tuple(level for level in skips if gradients[level] is not None and features[level].shape[1] > 0)


class SkipAttention(nn.Module):
    """One module of attention for each of some levels of an encoder's features.

    out_channels: of the encoder. levels: those that the decoder reads.
    Raises UserError for a kind that cannot do without a gate.
    """

    def __init__(self, out_channels: Sequence[int], levels: Collection[int], attend: Attend) -> None:
        super().__init__()
        made = {str(level): attend(out_channels[level], 0) for level in levels}
        self.levels = nn.ModuleDict({level: module for level, module in made.items() if module is not None})

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Features, the finest first, to as many of the same shapes."""
        return [
            self.levels[str(level)](feature, None) if str(level) in self.levels else feature
            for level, feature in enumerate(features)
        ]
