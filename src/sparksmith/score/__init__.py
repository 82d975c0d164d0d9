"""Scores of predictions against references; pure, no torch."""
