"""The Optuna study of a sweep: a mirror of the ledger for the dashboard, one trial per configuration.

The ledger is the truth, so the study may be wrong, damaged or gone at any time: `StudyMirror.sync`
makes it right again. Optuna will not change a trial that has ended, nor a parameter's categories;
where either would be needed the study is made anew. Nothing here steers the sweep.
"""

from experiments.study.mirror import StudyError, StudyMirror
from experiments.study.row import StudyRow, distributions_of, row_of, rows_of

__all__ = ["StudyError", "StudyMirror", "StudyRow", "distributions_of", "row_of", "rows_of"]
