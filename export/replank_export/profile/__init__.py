"""Profiles of models: FLOPs, bytes and the roofline."""
