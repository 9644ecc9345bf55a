"""FLOPs of a training step, counted while one is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from replank_compress.growing.masked_lm import masked_lm_loss


def training_flops(model: Any, inputs: dict[str, torch.Tensor], pooling: int = 1) -> int:
    """FLOPs of the matrix multiplications of a forward and a backward pass, two per multiply-accumulate.

    The model's gradients are dropped; its mode and the random generators stay as they are.

    :param inputs: a padded batch with ``labels``.
    """
    was_training = model.training
    model.eval()  # dropout takes no part in it
    try:
        # The other kernels of attention are not counted on every device.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            loss: Any = masked_lm_loss(model, inputs, pooling)
            loss.backward()
    finally:
        model.zero_grad(set_to_none=True)
        model.train(was_training)
    return int(counter.get_total_flops())
