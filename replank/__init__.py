"""replank: halve the layers of an encoder, export it to ONNX, quantize it, prove it right, serve it."""
