"""The sweep file: one question in YAML, checked as a whole, expanded into configurations.

`load_sweep` is the way in. Reading a sweep imports no torch, ray or optuna; a registry is imported when
a name in the file has to be looked up in it.
"""

from experiments.sweep.configuration import Configuration, nested
from experiments.sweep.schema.part import Part
from experiments.sweep.schema.search import Budget, Notify, Racing, Resources, SearchSettings
from experiments.sweep.schema.settings import (
    DatasetSettings,
    EarlyStopping,
    FoldSettings,
    ModelSettings,
    Objective,
    Settings,
    TrainingSettings,
)
from experiments.sweep.space import ContradictionError, Dimension, Space
from experiments.sweep.sweep import Sweep, load_sweep

__all__ = [
    "Budget",
    "Configuration",
    "ContradictionError",
    "DatasetSettings",
    "Dimension",
    "EarlyStopping",
    "FoldSettings",
    "ModelSettings",
    "Notify",
    "Objective",
    "Part",
    "Racing",
    "Resources",
    "SearchSettings",
    "Settings",
    "Space",
    "Sweep",
    "TrainingSettings",
    "load_sweep",
    "nested",
]
