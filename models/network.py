"""The network of a run: encoder, bottleneck, decoder and two heads, put together from names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.bottlenecks import BOTTLENECKS
from models.decoders import DECODERS, encoder_needs
from models.encoders.building import build_encoder
from models.encoders.statistics import input_statistics
from models.heads.classification import classification_head as build_classification_head

Part = tuple[str, Mapping[str, Any]]


class Output(NamedTuple):
    """What a network answers.

    masks: logits (B, mask_channels, H, W) at the size of the images; one channel is foreground against background.
    labels: logits (B, classes), or None without a classification head.
    """

    masks: Tensor
    labels: Tensor | None


class Network(nn.Module):
    """Masks and diagnosis of an image in one pass.

    encoder: a name from `models.encoders`.
    decoder, bottleneck: (name, options) from `DECODERS` and `BOTTLENECKS`.
    classes: number of diagnoses.
    encoder_weights: a local file from `models.weights.resolve_weights`, or None for random initialisation.
    classification_head: whether there is one; it reads the bottleneck's output.
    mask_channels: 1 for binary masks, else one a class.
    batch_norm_momentum: how fast running statistics follow, for every batch normalisation; None keeps each part's own.

    Every layer exists after construction, and under `torch.manual_seed` the initial weights are always the same: for
    decoders that smp initialises, those of smp's own model built with the same seed.
    Raises UserError where the parts do not fit together, pydantic's ValidationError for wrong options.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: str,
        decoder: Part = ("unet", {}),
        classes: int = 2,
        encoder_weights: Path | None = None,
        classification_head: bool = True,
        mask_channels: int = 1,
        bottleneck: Part = ("identity", {}),
        batch_norm_momentum: float | None = None,
    ) -> None:
        super().__init__()
        decoder_options = DECODERS.check(*decoder)
        needs = encoder_needs(decoder_options)
        backbone = build_encoder(encoder, needs.depth, encoder_weights, needs.output_stride)
        deepest = backbone.out_channels[-1]
        self.stride = backbone.output_stride
        self.encoder: nn.Module = backbone  # type: ignore[assignment]  # an Encoder is an nn.Module too
        self.bottleneck = BOTTLENECKS[bottleneck[0]](deepest, **BOTTLENECKS.check(*bottleneck))
        self.decoder = DECODERS[decoder[0]](backbone, **decoder_options)
        self.segmentation_head = self.decoder.segmentation_head(mask_channels)
        self.classification_head = build_classification_head(deepest, classes) if classification_head else None
        self._initialise()
        if batch_norm_momentum is not None:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.momentum = batch_norm_momentum

        # They follow from the encoder's name; in checkpoints they would only be able to disagree with it.
        mean, std = input_statistics(encoder)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._encoder_is_frozen = False

    def forward(self, images: Tensor) -> Output:
        """Images (B, 3, H, W), or grey (B, 1, H, W), values in [0, 1], any H and W."""
        height, width = images.shape[-2:]
        images = self._normalised_and_padded(images)
        features = list(self.encoder(images))
        features[-1] = self.bottleneck(features[-1])
        masks = self.segmentation_head(self.decoder(features))
        labels = None if self.classification_head is None else self.classification_head(features[-1])
        return Output(masks[..., :height, :width], labels)

    def freeze_encoder(self, frozen: bool = True) -> None:
        """Holds the encoder as it is, in training too: no gradients, and eval mode (batch statistics, dropout)."""
        self._encoder_is_frozen = frozen
        self.encoder.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, but a frozen encoder stays in eval mode."""
        super().train(mode)
        if self._encoder_is_frozen:
            self.encoder.eval()
        return self

    def _normalised_and_padded(self, images: Tensor) -> Tensor:
        """Three channels, the encoder's statistics, and sides that its strides divide."""
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        images = (images - self.mean) / self.std
        right, bottom = (self._padding(side) for side in (images.shape[-1], images.shape[-2]))
        # Zeros after normalisation: what the convolutions themselves assume beyond the border.
        return F.pad(images, (0, right, 0, bottom)) if right or bottom else images

    def _padding(self, side: int) -> int:
        wanted = max(side, self.decoder.smallest)
        return wanted + -wanted % self.stride - side

    def _initialise(self) -> None:
        from segmentation_models_pytorch.base.initialization import initialize_head

        self.decoder.initialise()
        for head in (self.segmentation_head, self.classification_head):
            if head is not None:
                initialize_head(head)
