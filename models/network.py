"""The network of a run: encoder, bottleneck, attention, decoder and heads, put together from names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Attend
from models.bottlenecks import BOTTLENECKS
from models.decoders import DECODERS, encoder_needs, places_attention
from models.encoders.building import build_encoder
from models.encoders.encoder import Encoder
from models.encoders.statistics import input_statistics
from models.heads import CLASSIFICATION_HEADS
from models.latent_augmentation import LATENT_AUGMENTATIONS
from models.latent_augmentation.latent_augmentation import Mixing
from models.skips import SkipAttention, attending, skips_read
from utils.errors import Problem, UserError

Part = tuple[str, Mapping[str, Any]]


class Output(NamedTuple):
    """What a network answers.

    masks: logits (B, mask_channels, H, W) at the size of the images; one channel is lesion against background, of
        several the first is the background.
    labels: logits (B, classes), or None without a classification head.
    sides: in training under deep supervision the logits of the decoder's coarser outputs, the coarsest first, each
        enlarged to the size of the images; else empty.
    mixing: which samples' features the decoder got mixed, so that their masks must be; None: nothing was.
    """

    masks: Tensor
    labels: Tensor | None
    sides: tuple[Tensor, ...] = ()
    mixing: Mixing | None = None

    @property
    def foreground(self) -> Tensor:
        """Logits (B, 1, H, W) whose sigmoid is the probability of a lesion, of whatever diagnosis."""
        return foreground_of(self.masks)


def foreground_of(masks: Tensor) -> Tensor:
    """Mask logits (B, C, H, W) -> (B, 1, H, W): the log-odds that a pixel is anything but background."""
    if masks.shape[1] == 1:
        return masks
    return masks[:, 1:].logsumexp(dim=1, keepdim=True) - masks[:, :1]


class Network(nn.Module):
    """Masks and diagnosis of an image in one pass.

    encoder: a name from `models.encoders`, or (name, options) of one of ours.
    decoder, bottleneck, attention, latent_augmentation, classification_head: (name, options) from their registries.
    classes: number of diagnoses.
    encoder_weights: a local file from `models.weights.resolve_weights`, or None for random initialisation.
    mask_channels: 1 for binary masks, else background and one a class.
    deep_supervision: whether, in training, the decoder's coarser outputs are answered too.
    batch_norm_momentum: how fast running statistics follow, for every batch normalisation; None keeps each part's own.

    Every layer exists after construction, and under `torch.manual_seed` the initial weights are always the same: for
    decoders that smp initialises, those of smp's own model built with the same seed. Only VGG's are others of the same
    distribution: smp draws those of its classifier, too, before it drops that.
    Raises UserError where the parts do not fit together, pydantic's ValidationError for wrong options.
    """

    mean: Tensor
    std: Tensor
    minority: Tensor

    def __init__(
        self,
        encoder: str | Part,
        decoder: Part = ("unet", {}),
        classes: int = 2,
        encoder_weights: Path | None = None,
        classification_head: Part = ("pooled", {}),
        mask_channels: int = 1,
        bottleneck: Part = ("identity", {}),
        attention: Part = ("none", {}),
        latent_augmentation: Part = ("none", {}),
        deep_supervision: bool = False,
        batch_norm_momentum: float | None = None,
    ) -> None:
        super().__init__()
        name, encoder_options = (encoder, {}) if isinstance(encoder, str) else encoder
        decoder_options = DECODERS.check(*decoder)
        needs = encoder_needs(decoder_options)
        backbone = build_encoder(name, needs.depth, encoder_weights, needs.output_stride, encoder_options)
        deepest = backbone.out_channels[-1]
        attend = attending(attention)
        self.stride = backbone.output_stride
        self.encoder = cast(nn.Module, backbone)
        self.bottleneck = BOTTLENECKS[bottleneck[0]](deepest, **BOTTLENECKS.check(*bottleneck))
        itself = places_attention(decoder[0])
        self.decoder = DECODERS[decoder[0]](backbone, *([attend] if itself else []), **decoder_options)
        self.segmentation_head = self.decoder.segmentation_head(mask_channels)
        head_options = CLASSIFICATION_HEADS.check(*classification_head)
        self.classification_head = CLASSIFICATION_HEADS[classification_head[0]](deepest, classes, **head_options)
        # What comes before draws random numbers in the order in which smp does, so that its models are reproduced.
        self._initialise()
        on_skips = not itself and attention[0] != "none"
        self.attention = self._skip_attention(backbone, decoder[0], attend) if on_skips else None
        self.side_heads = self._side_heads(decoder[0], mask_channels) if deep_supervision else None
        latent_options = LATENT_AUGMENTATIONS.check(*latent_augmentation)
        self.latent_augmentation = LATENT_AUGMENTATIONS[latent_augmentation[0]](**latent_options)
        if batch_norm_momentum is not None:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.momentum = batch_norm_momentum

        # They follow from the encoder's name; in checkpoints they would only be able to disagree with it.
        mean, std = input_statistics(name)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        # And this one from the training part, which only training has.
        self.register_buffer("minority", torch.zeros(classes, dtype=torch.bool), persistent=False)
        self._encoder_is_frozen = False

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Output:
        """Images (B, 3, H, W), or grey (B, 1, H, W), values in [0, 1], any H and W.

        labels: (B,) in [0, classes); in training they tell latent augmentation whom it is for, and without them there
        is none.
        """
        height, width = images.shape[-2:]
        features = list(self.encoder(self._normalised_and_padded(images)))
        before = features[-1]
        features[-1] = after = self.bottleneck(before)
        mixing = mixed = None
        if self.latent_augmentation is not None and self.training and labels is not None:
            after, mixed = self.latent_augmentation(after, labels, self.minority)
            if self.latent_augmentation.feeds == "decoder":
                mixing = mixed
                features = [*(mixing.mix(feature) for feature in features[:-1]), after]
        if self.attention is not None:
            features = self.attention(features)
        masks, sides = self._masks(features)
        padded = masks.shape[-2:]
        masks = masks[..., :height, :width]
        diagnosis = None
        if self.classification_head is not None:
            # Decoders that are fed the mixed features answer mixed masks; of the others both partners' belong together.
            foreground = foreground_of(masks) if mixed is None or mixing else mixed.mix(foreground_of(masks))
            # Features are of the padded image, on whose margin there is no lesion whatever the decoder draws there.
            right, bottom = padded[1] - width, padded[0] - height
            foreground = F.pad(foreground, (0, right, 0, bottom), value=-torch.inf)
            diagnosis = self.classification_head(before, after, foreground)
        return Output(masks, diagnosis, tuple(side[..., :height, :width] for side in sides), mixing)

    def _masks(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Mask logits, and those of the coarser outputs where they are trained, at the size of the padded images."""
        if self.side_heads is None or not self.training:
            return self.segmentation_head(self.decoder(features)), []
        coarse, fine = self.decoder.with_sides(features)
        masks = self.segmentation_head(fine)
        sides = [head(side) for head, side in zip(self.side_heads, coarse, strict=True)]
        return masks, [F.interpolate(side, masks.shape[-2:], mode="bilinear", align_corners=False) for side in sides]

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

    def _skip_attention(self, encoder: Encoder, decoder: str, attend: Attend) -> SkipAttention:
        levels = skips_read(self.encoder, self.decoder, self._padding(64) + 64)
        if not levels:
            message = "has no skip for model.attention to work on"
            raise UserError(Problem("model.decoder", message, value=decoder))
        return SkipAttention(encoder.out_channels, levels, attend)

    def _side_heads(self, decoder: str, mask_channels: int) -> nn.ModuleList:
        if not self.decoder.side_channels:
            message = "has one output only, so that there is nothing for model.deep_supervision to supervise"
            raise UserError(Problem("model.decoder", message, value=decoder))
        return nn.ModuleList(nn.Conv2d(channels, mask_channels, 1) for channels in self.decoder.side_channels)

    def _initialise(self) -> None:
        from segmentation_models_pytorch.base.initialization import initialize_head

        self.decoder.initialise()
        for head in (self.segmentation_head, self.classification_head):
            if head is not None:
                initialize_head(head)
