"""Scores of a network on cases: at its own resolution while it steers, at the image's own when it counts."""

from experiments.training.evaluation.answers import Answer, NotFiniteError, answers
from experiments.training.evaluation.latency import inference_milliseconds
from experiments.training.evaluation.scores import CaseResult, Evaluation, evaluate
from experiments.training.evaluation.snapshots import SNAPSHOTS, Snapshots
from experiments.training.evaluation.table import cases_csv, number

__all__ = [
    "SNAPSHOTS",
    "Answer",
    "CaseResult",
    "Evaluation",
    "NotFiniteError",
    "Snapshots",
    "answers",
    "cases_csv",
    "evaluate",
    "inference_milliseconds",
    "number",
]
