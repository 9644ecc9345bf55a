"""The machine, files, processes, errors and progress: what knows nothing of models."""
