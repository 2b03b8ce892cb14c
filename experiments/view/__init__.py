"""``python -m experiments.view``: predictions looked at in a window."""
