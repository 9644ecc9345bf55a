"""Students that attend to references while they learn: a predecessor's states, and how they become a bank's.

See :mod:`replank.references` for what is known of RefBERT and what is our reconstruction.
"""
