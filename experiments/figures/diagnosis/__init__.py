"""Figures of the diagnosis of the best configuration, all test folds pooled."""
