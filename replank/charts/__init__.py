"""Charts as SVG documents, drawn by matplotlib, which is imported when the first one is drawn."""
