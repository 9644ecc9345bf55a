"""Serving models over HTTP, and load tests. Imports neither torch nor transformers."""
