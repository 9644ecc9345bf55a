"""Tracing and fusing graphs, and counting what was fused."""
