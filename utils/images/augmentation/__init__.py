"""Random changes of training images and their masks: of one case on the host, or of whole batches on a device.

`utils.images.augmentation.batches`, which needs torch, is imported only where batches are to be changed.
"""

from utils.images.augmentation.cases import AUGMENTATION, Augmentation

__all__ = ["AUGMENTATION", "Augmentation"]
