"""The agenda of a sweep: which run is next, what it occupies, and whether the budget allows it."""

from experiments.agenda.agenda import Agenda
from experiments.agenda.packing import Packing
from experiments.agenda.promise import ByPromise
from experiments.agenda.spending import Spending, leftover

__all__ = ["Agenda", "ByPromise", "Packing", "Spending", "leftover"]
