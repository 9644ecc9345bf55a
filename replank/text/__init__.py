"""Tokenization, padding, and words of texts."""
