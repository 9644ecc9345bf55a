"""The command line. A stage is imported only when its command runs."""
