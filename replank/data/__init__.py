"""Labelled examples: tables, splits, GLUE, the demo's texts."""
