"""Figures of how runs were trained."""
