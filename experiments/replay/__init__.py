"""Replays: what racing would have cost, saved and lost in a sweep of which every run is known.

``python -m experiments.replay results/<sweep>``. Covered: the grid as its tables have it (`grid`), thousands of races
on resamples of it (`replay`), and their figure (`figure`).
"""

from experiments.replay.grid import Grid, read_grid
from experiments.replay.replay import Replays, replay

__all__ = ["Grid", "Replays", "read_grid", "replay"]
