"""How every figure looks: one width, one size of type, one palette that colour-blind readers can tell apart.

Figures are as wide as a column of text and have large type, so that they can still be read on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine

WIDTH = 6.4
"""Inches."""
DPI = 150
"""Pixels per inch of a PNG."""

# Okabe and Ito 2008, "Color Universal Design".
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, BLACK)
"""For series, in this order. Yellow is left out: on white it is hardly seen."""

GREY, GRID = "#5A5A5A", "#DDDDDD"

_SETTINGS = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    # Verdana is as wide as DejaVu, and there where an SVG is looked at without matplotlib's own font.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#222222",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "#222222",
    "ytick.labelcolor": "#222222",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    # Names of configurations hold dollars and underscores, which are no formulas.
    "text.parse_math": False,
    "text.usetex": False,
    "svg.fonttype": "none",
}


@contextmanager
def styled(salt: str = "figure") -> Iterator[None]:
    """Our settings, whatever the user's matplotlibrc says. salt: makes the ids inside an SVG repeatable."""
    with matplotlib.style.context(["default", {**_SETTINGS, "svg.hashsalt": salt}]):
        yield


def canvas(height: float, title: str) -> Canvas:
    """An empty figure of `WIDTH` x `height` inches whose parts make room for each other."""
    made = Canvas(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    made.suptitle(title, x=0.02, ha="left")
    return made


def bare(axes: Axes) -> None:
    """Takes grid, ticks and spines away, for pictures and tables."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
