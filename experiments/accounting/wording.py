"""The balance of a sweep in one line."""

from __future__ import annotations

from experiments.accounting.balance import LABELS, Balance
from experiments.console.display import duration

TITLE = "Slot time"

_KILOWATT_HOUR = 3.6e6


def slot_time(balance: Balance) -> str:
    """``Slot time: 3 h 12 min on 2 slots: training 81 %, ...``; shares that round to nothing are left out."""
    few, many = min(balance.slots), max(balance.slots)
    slots = f"{many} slot{'' if many == 1 else 's'}" if few == many else f"{few} to {many} slots"
    percents = {name: round(100 * share) for name, share in balance.shares().items()}
    told = ", ".join(f"{LABELS[name]} {percent} %" for name, percent in percents.items() if percent)
    saved = f"; racing saved an estimated {duration(balance.saved)}" if balance.saved > 0 else ""
    return f"{TITLE}: {duration(balance.slot_seconds)} on {slots}: {told}{saved}{_energy(balance.joules)}"


def _energy(joules: float | None) -> str:
    if joules is None:
        return ""
    return f"; the GPUs of the driver's machine took {joules / _KILOWATT_HOUR:.2g} kWh"
