"""The precision of training: what the hardware and the encoder can compute in."""

from __future__ import annotations

from typing import Literal

import torch

from replank.models.encoder import Encoder
from replank.system.environment import has_fast_bf16
from replank.system.errors import FieldError
from replank_compress.training.config import Precision


def usable_precision(asked: Precision, encoder: Encoder, *, cuda: bool) -> Literal["bf16", "fp16", "fp32"]:
    """The precision of a training.

    :param asked: ``auto`` is bf16 where that is faster and the encoder can, else fp32.
    :param cuda: whether it runs on a CUDA device.
    :raises FieldError: the hardware or the encoder cannot compute in it.
    """
    if asked == "fp16" and not cuda:
        raise FieldError("precision", asked, "bf16, fp32 or auto, because there is no CUDA device here")
    if asked in ("bf16", "fp16") and not encoder.autocasts:
        expected = f"fp32 or auto, because transformers cannot train {encoder.model_type} in less"
        raise FieldError("precision", asked, expected)
    if asked != "auto":
        return asked
    is_faster = torch.cuda.is_bf16_supported() if cuda else has_fast_bf16()
    return "bf16" if is_faster and encoder.autocasts else "fp32"
