"""The leaderboard: a pure function of the ledger, and the CSV files that it is kept in."""

from experiments.leaderboard.entry import Entry, Standing
from experiments.leaderboard.leaderboard import Leaderboard

__all__ = ["Entry", "Leaderboard", "Standing"]
