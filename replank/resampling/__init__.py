"""Which differences between models are more than chance: paired resampling of seeds and rows, from answers per row."""
