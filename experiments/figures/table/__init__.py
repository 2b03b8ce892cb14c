"""Figures of the table as a whole."""
