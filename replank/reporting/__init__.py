"""The report of a chain: an HTML page and a Markdown file, from manifests and results; no model is loaded."""
