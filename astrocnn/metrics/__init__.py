"""Scores with confidence intervals, in pure numpy."""
