"""A window to look at predictions in, and to try threshold, contrast and size; a contact sheet where there is none."""

from experiments.viewer.desk import Desk
from experiments.viewer.picture import Seen, rendered
from experiments.viewer.state import KEYS, SIZES, View, key_named, moved, pressed

__all__ = ["KEYS", "SIZES", "Desk", "Seen", "View", "key_named", "moved", "pressed", "rendered"]
