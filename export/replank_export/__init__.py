"""Export of torch models to ONNX: tracing, fusion, quantization, and verification of each step."""
