"""HTTP independent of the routes: the server's adapter, middleware, bodies, errors, API keys, logs, metrics."""
