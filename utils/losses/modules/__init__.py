"""The torch modules behind the registries; imported only when a loss is built."""

from utils.losses.modules.boundary import BoundaryLoss, signed_distances
from utils.losses.modules.diagnosis import LogitAdjustedLoss, SoftmaxFocalLoss
from utils.losses.modules.multiclass import OneVersusRest, SoftmaxCrossEntropy
from utils.losses.modules.precision import InFloat32
from utils.losses.modules.region import FocalTverskyLoss, MatthewsLoss
from utils.losses.modules.sums import DeepSupervision, WeightedSum

__all__ = [
    "BoundaryLoss",
    "DeepSupervision",
    "FocalTverskyLoss",
    "InFloat32",
    "LogitAdjustedLoss",
    "MatthewsLoss",
    "OneVersusRest",
    "SoftmaxCrossEntropy",
    "SoftmaxFocalLoss",
    "WeightedSum",
    "signed_distances",
]
