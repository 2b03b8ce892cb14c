"""The figures of a sweep: drawn from its leaderboard and its ledger, as PNG, SVG and GIF.

Not covered: which figures a report shows, and how a network answers (`FigureData.predict`).
"""

from experiments.figures.cases.sheet import overlay_sheet
from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.drawing import Drawn, draw_figures
from experiments.figures.figure import Figure, Omitted

__all__ = ["CannotDrawError", "Drawn", "Figure", "FigureData", "Omitted", "draw_figures", "overlay_sheet"]
