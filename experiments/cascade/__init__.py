"""Cascades: a first stage's out-of-fold predictions for the second, and what both are worth together."""

from experiments.cascade.predictions import predict_out_of_fold, predictions_of
from experiments.cascade.scores import Cascade, cascade_of, write_cascade

__all__ = ["Cascade", "cascade_of", "predict_out_of_fold", "predictions_of", "write_cascade"]
