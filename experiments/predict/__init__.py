"""The command ``python -m experiments.predict``."""
