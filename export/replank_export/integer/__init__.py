"""Encoders in integers as ONNX graphs: the definition in :mod:`replank.integer`, node by node.

- :mod:`.calibrate`: the range of each activation on texts of the task, seen in torch;
- :mod:`.graph`, on :mod:`.nodes` and :mod:`.kernels`: the encoder from its constants;
- :mod:`.head`: what answers the task, in floating point, as it was;
- :mod:`.audit`: no tensor between the look-up of embeddings and the head is of floating point;
- :mod:`.check`: the graph gives the definition's integers, every one of them, in every layer.
"""
