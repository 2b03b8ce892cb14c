"""What cannot work is said before the first run: networks, memory, disk, folders and versions, all at once."""

from experiments.preflight.impossible import record_impossible
from experiments.preflight.preflight import Preflight, preflight
from experiments.preflight.slot import Slot, slot_here

__all__ = ["Preflight", "Slot", "preflight", "record_impossible", "slot_here"]
