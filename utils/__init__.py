"""What goes into a network and how its output is measured: data, folds, losses, metrics.

Knows neither networks (`models`) nor sweeps (`experiments`); never imports them, nor ray or optuna.
"""
