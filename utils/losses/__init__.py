"""Losses of masks and of diagnoses. The names are known without torch; a factory imports it when called."""

from utils.losses.classification import CLASSIFICATION_LOSSES, ClassWeights, class_weights_of
from utils.losses.segmentation import SEGMENTATION_LOSSES

__all__ = ["CLASSIFICATION_LOSSES", "SEGMENTATION_LOSSES", "ClassWeights", "class_weights_of"]
