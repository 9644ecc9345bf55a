"""The machine, files, processes, errors and progress: nothing here knows of models."""
