"""Comparison of models, number by number."""
