"""The report of a chain: one page and one Markdown file, made of manifests and results, without any model."""
