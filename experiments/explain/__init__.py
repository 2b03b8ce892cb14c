"""``python -m experiments.explain``: what the networks of a sweep look at."""
