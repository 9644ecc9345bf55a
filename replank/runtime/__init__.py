"""Loaded models: execution providers, torch, prediction, evaluation."""
