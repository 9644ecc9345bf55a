"""From a torch model to a fused graph: tracing, fusion, counts of fused operators, and fp16."""
