"""FLOPs, bytes and roofline of models."""
