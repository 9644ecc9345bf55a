"""The inference engine: admission control, tokenization, dynamic batching, the inference thread."""
