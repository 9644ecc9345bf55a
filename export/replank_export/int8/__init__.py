"""INT8 quantization of graphs."""
