"""Verification: the logits of a candidate compared with those of its reference."""
