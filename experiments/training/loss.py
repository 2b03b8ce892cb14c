"""The loss of a run: of its masks and of its diagnosis, in whatever form the network answers them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from experiments.sweep import TrainingSettings
from models.network import Output
from utils.losses import CLASSIFICATION_LOSSES, build_segmentation_loss, class_weights_of
from utils.losses.modules import DeepSupervision


class RunLoss(nn.Module):
    """Loss of the masks plus the weighted loss of the diagnosis.

    mask_channels: of the network. label_counts: cases of each class in the TRAINING part.
    """

    def __init__(self, training: TrainingSettings, mask_channels: int, label_counts: Sequence[int]) -> None:
        super().__init__()
        segmentation, classification = training.segmentation_loss, training.classification_loss
        self.segmentation = DeepSupervision(
            build_segmentation_loss(segmentation.name, segmentation.options, mask_channels)
        )
        weights = class_weights_of(label_counts, training.class_weights)
        self.classification = CLASSIFICATION_LOSSES[classification.name](
            weights, label_counts, **classification.options
        )
        self.classification_weight = training.classification_weight

    def forward(self, output: Output, masks: Tensor, labels: Tensor) -> Tensor:
        """Masks (B, 1, H, W) of 0 and 1, labels (B,) -> a scalar."""
        targets = mask_targets(masks, labels, output.masks.shape[1])
        if output.mixing is not None:
            targets = output.mixing.mix(targets)
        loss = self.segmentation(output.masks, output.sides, targets)
        if output.labels is not None:
            loss = loss + self.classification_weight * self.classification(output.labels, labels)
        return loss


def mask_targets(masks: Tensor, labels: Tensor, channels: int) -> Tensor:
    """What mask logits of so many channels are compared with, (B, channels, H, W).

    One channel: the mask. Several: the background, then for each diagnosis the lesions of the cases that have it.
    """
    if channels == 1:
        return masks
    targets = masks.new_zeros(len(masks), channels, *masks.shape[2:])
    targets[:, :1] = 1 - masks
    targets[torch.arange(len(masks), device=masks.device), labels + 1] = masks[:, 0]
    return targets
