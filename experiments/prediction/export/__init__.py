"""An ensemble as one file for programs that know nothing of this toolkit, checked before it gets its name."""

from experiments.prediction.export.exporting import export_ensemble

__all__ = ["export_ensemble"]
