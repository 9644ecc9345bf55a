"""The inference engine: admission, tokenization, batching, the inference thread."""
