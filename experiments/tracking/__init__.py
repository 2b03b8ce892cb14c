"""Sweeps shown in other people's dashboards: MLflow, Weights & Biases, TensorBoard. One file each in this folder.

What is there is a mirror of the ledger and can be deleted at any time; a dashboard that is out of reach stops nothing.
"""

from experiments.tracking import mlflow, tensorboard, wandb
from experiments.tracking.tracker import TRACKERS, TrackedRun, TrackedSweep, Tracker

__all__ = ["TRACKERS", "TrackedRun", "TrackedSweep", "Tracker", "mlflow", "tensorboard", "wandb"]
