"""The loss of masked language modelling, with the head computed for the tokens that are asked alone."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch

from replank.tasks.kinds.learning import IGNORED
from replank_compress.growing.pooling import pooled, pooling_matrix


def masked_lm_loss(model: Any, inputs: dict[str, torch.Tensor], pooling: int = 1) -> torch.Tensor:
    """The mean cross entropy of the masked tokens, a scalar.

    The head gives a whole vocabulary for each token: of a small encoder it is most of the work, and of seven tokens it
    is asked for one.

    :param model: a masked language model, perhaps wrapped for several processes.
    :param inputs: a padded batch with ``labels``, -100 where no token is asked.
    :param pooling: tokens that become one from the second layer on; 1 does not pool.
    """
    labels = inputs["labels"]
    asked = labels != IGNORED
    plain = getattr(model, "module", model)
    context, where = nullcontext(), asked
    if pooling > 1:
        matrix, groups = pooling_matrix(inputs["attention_mask"], asked, pooling)
        context = pooled(plain, inputs["attention_mask"], matrix)  # type: ignore[assignment]
        places = torch.arange(matrix.shape[1], device=labels.device)
        where = (places >= groups[:, None]) & (places < (groups + asked.sum(1))[:, None])

    def select(module: Any, arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[where][None]
        return output

    hook = plain.base_model.register_forward_hook(select)
    try:
        with context:
            loss: torch.Tensor = model(**inputs | {"labels": labels[asked][None]}).loss
            return loss
    finally:
        hook.remove()
