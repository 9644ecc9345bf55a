"""Methods of compression: module replacing and its baselines."""
