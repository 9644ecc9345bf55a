"""Model folders: artifacts, sources, architectures, the hub, model cards."""
