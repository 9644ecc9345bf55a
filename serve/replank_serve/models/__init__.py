"""Loaded models by name."""
