"""Kinds of task, tasks, and their metrics."""
