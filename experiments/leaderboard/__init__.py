"""The leaderboard: a pure function of the ledger, and the CSV files that it is kept in."""

from experiments.leaderboard.entry import Entry, Standing
from experiments.leaderboard.leaderboard import CONTENDERS, Leaderboard
from experiments.leaderboard.line import Line
from experiments.leaderboard.ranking import Ranking

__all__ = ["CONTENDERS", "Entry", "Leaderboard", "Line", "Ranking", "Standing"]
