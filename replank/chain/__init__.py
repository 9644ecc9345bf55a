"""Chains of stages, and the search for a model under a budget."""
