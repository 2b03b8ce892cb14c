"""Where the slot time of a sweep went, as one stacked bar."""

from __future__ import annotations

from matplotlib.patches import Patch

from experiments.accounting.balance import IDLE, LABELS, Balance
from experiments.console.display import duration
from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Chart
from experiments.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, canvas

COLORS = {
    "training": BLUE,
    "validation": SKY,
    "testing": GREEN,
    "metrics": PURPLE,
    "data": ORANGE,
    "writing": YELLOW,
    "start_up": VERMILLION,
    IDLE: "#D0D0D0",
}
"""Phase -> colour; what trains and evaluates is cold, what does not is warm."""

_NARROWEST_LABELLED = 0.05
_DARK = {BLUE, GREEN, VERMILLION}


def slot_time(data: FigureData) -> Chart:
    """One bar for the whole sweep."""
    if data.balance is None:
        raise CannotDrawError("no session of the sweep was noted")
    shares, seconds = data.balance.shares(), data.balance.slot_seconds
    unit, whole = ("minutes", seconds / 60) if seconds < 7_200 else ("hours", seconds / 3600)
    figure = canvas(2.3, f"Slot time: {duration(seconds)}")
    axes = figure.add_subplot()
    left = 0.0
    for name, share in shares.items():
        axes.barh(0, share * whole, left=left, color=COLORS[name], edgecolor="white", linewidth=0.8)
        if share >= _NARROWEST_LABELLED:
            color = "white" if COLORS[name] in _DARK else "#222222"
            axes.text(left + share * whole / 2, 0, f"{share:.0%}", ha="center", va="center", color=color)
        left += share * whole
    axes.set_xlim(0, whole)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"Slot-{unit}")
    figure.legend(
        [Patch(facecolor=COLORS[name], edgecolor=GREY, linewidth=0.4) for name in shares],
        [LABELS[name] for name in shares],
        loc="outside lower center",
        ncols=4,
        handlelength=1.0,
        columnspacing=1.2,
    )
    return Chart("slot_time", "Where the time went", _caption(data.balance), figure)


def _caption(balance: Balance) -> str:
    many = len(balance.slots)
    sessions = "one session" if many == 1 else f"{many} sessions"
    saved = f"; racing saved an estimated {duration(balance.saved)} more" if balance.saved > 0 else ""
    return (
        f"Slots times wall-clock time from the first run to the last, over {sessions}, by what runs spent it on as the "
        "host saw it; idle is what no run accounts for: waiting, the start of processes, and what was lost with those "
        f"that were killed{saved}."
    )
