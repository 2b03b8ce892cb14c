"""The Optuna study of a sweep: a mirror of the ledger for the dashboard, one trial per configuration.

The ledger is the truth, so the study may be wrong, damaged or gone at any time: `StudyMirror.sync`
makes it right again. Optuna will not change a trial that has ended, nor a parameter's categories;
where either would be needed the study is made anew. The mirror steers nothing: what a sweep with a space draws
next comes from `experiments.study.sampler`, which asks the ledger and not the study.
"""

from experiments.study.annotations import ARTIFACTS, annotate
from experiments.study.distributions import distributions_in
from experiments.study.mirror import StudyError, StudyMirror
from experiments.study.notes import note_of
from experiments.study.row import StudyRow, distributions_of, row_of, rows_of

__all__ = [
    "ARTIFACTS",
    "StudyError",
    "StudyMirror",
    "StudyRow",
    "annotate",
    "distributions_in",
    "distributions_of",
    "note_of",
    "row_of",
    "rows_of",
]
