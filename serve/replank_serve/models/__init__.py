"""The loaded models by name."""
