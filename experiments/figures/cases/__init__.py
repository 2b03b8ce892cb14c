"""Figures of single cases and their scores."""
