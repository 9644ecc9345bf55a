"""Training with transformers.Trainer."""
