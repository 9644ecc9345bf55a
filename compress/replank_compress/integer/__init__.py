"""Training of a model that will compute in integers only: quantization-aware training (Kim et al. 2021, section 4.1).

In each forward pass of a training the encoder computes, on torch tensors, exactly the integers of
:mod:`replank.integer`, which the quantized model will compute; in the backward pass each kernel has the gradient of the
real function that it stands for (*straight-through*, Bengio et al. 2013, arXiv 1308.3432). So the weights learn to
give the right answers despite the rounding.

- :mod:`.steps`: a tensor of whole numbers that carries the size of its steps with it;
- :mod:`.kernels`: requantization, GELU, softmax and layer norm in both forms;
- :mod:`.moving_ranges`: the range of each activation, an average that follows the training;
- :mod:`.simulation`: the encoder put together;
- :mod:`.method` and :mod:`.config`: the training.
"""
