"""One run: train a network on a fold, choose its checkpoint on validation, evaluate it on test."""

TRAINING_VERSION = "1.3.0"
"""Semantic version of everything that determines a result; part of every configuration's id.

Raise it when a change makes the same settings give other numbers: finished runs are then not mixed
with new ones but repeated, and their records stay."""

EXECUTION = "experiments.training.execution:Execution"
"""What a worker executes a run with, by name: naming it imports no torch."""
