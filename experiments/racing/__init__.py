"""Racing: configurations that can no longer win are stopped. Decisions, without Ray and Optuna.

Covered: the confidence bound of a lead (`bound`), the race over folds (`race`) by its `rules`, what it hands out when
(`marshal`), and what the ledger tells it (`field`). Not covered: who runs it; that is the scheduling's.
"""

from experiments.racing.bound import FoldTable, Leads, Noise, critical_lead, leads_of, noise_of
from experiments.racing.field import Field
from experiments.racing.marshal import Marshal
from experiments.racing.race import Race
from experiments.racing.rules import RUNG_SHARE, FoldScores, Rules, Run, Stop, pilots_of, rungs_of

__all__ = [
    "RUNG_SHARE",
    "Field",
    "FoldScores",
    "FoldTable",
    "Leads",
    "Marshal",
    "Noise",
    "Race",
    "Rules",
    "Run",
    "Stop",
    "critical_lead",
    "leads_of",
    "noise_of",
    "pilots_of",
    "rungs_of",
]
