"""From torch to ONNX: trace, fuse, quantize, and prove each step."""
