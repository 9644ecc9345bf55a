"""HTTP for any application: protocol limits, bodies, errors, keys, logs, metrics."""
