"""Module replacing: a predecessor's layers and the successor layer that takes their place, in one stack.

Source: Xu et al., "BERT-of-Theseus", EMNLP 2020, section 3.2. A module is c consecutive layers of the predecessor
and one layer of the successor. For each batch each module runs the one or the other, never both, so compute really
is saved; transformers' own forward drives the stack and notices nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from replank_compress.layers import assemble, layer_stack, set_layer_stack


class ReplaceableModule(nn.Module):
    """c predecessor layers and the successor layer that replaces them.

    :param replaced: which of the two the next training batch runs. Evaluation runs the successor, always.
    """

    def __init__(self, predecessor: Sequence[nn.Module], successor: nn.Module) -> None:
        super().__init__()
        self.predecessor = nn.ModuleList(predecessor)
        self.successor = successor
        self.replaced = True

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Hidden states in, hidden states out, shape ``(batch, length, hidden)``.

        What a layer returns beside them is its last layer's.
        """
        if self.replaced or not self.training:
            return self.successor(hidden_states, *args, **kwargs)
        output: Any = None
        for layer in self.predecessor:
            output = layer(hidden_states, *args, **kwargs)
            hidden_states = output[0] if isinstance(output, tuple) else output
        return output


class Theseus:
    """A predecessor under replacement.

    The successor's layers learn; the predecessor's never do, and what both share (embeddings, pooler and head) only
    when told. An undrawn layer has no gradient, not one of zeros, so that the optimizer passes it over: neither
    momentum nor weight decay moves it in that step. (The paper's code ran on a torch whose ``zero_grad`` left
    zeros, and AdamW moved undrawn layers too.)

    :param model: the fine-tuned predecessor, a ``PreTrainedModel``; it is changed in place.
    :param successors: the successor's layers, from below.
    :param sizes: how many of the predecessor's layers each of them replaces.
    """

    def __init__(self, model: Any, successors: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        stack = layer_stack(model).requires_grad_(False)
        rest = iter(stack)
        self.model = model
        self.modules = [
            ReplaceableModule([next(rest) for _ in range(size)], successor.requires_grad_(True))
            for size, successor in zip(sizes, successors, strict=True)
        ]
        set_layer_stack(model, [])
        head = {id(parameter) for parameter in model.parameters()}
        head -= {id(parameter) for name, parameter in model.base_model.named_parameters() if "pooler." not in name}
        self._shared = [(parameter, id(parameter) in head) for parameter in model.parameters()]
        set_layer_stack(model, self.modules)
        self.train_shared(())

    def replace(self, gates: Sequence[bool]) -> None:
        """Say which modules the next training batch runs replaced."""
        for module, gate in zip(self.modules, gates, strict=True):
            module.replaced = bool(gate)

    def train_shared(self, parts: Sequence[str]) -> None:
        """Let parts of what predecessor and successor share learn, and freeze the rest.

        :param parts: of ``embeddings`` (and whatever else the encoder has beside its layers) and ``head`` (pooler and
            head, but for a matrix that the embeddings share with it).
        """
        for parameter, is_head in self._shared:
            parameter.requires_grad_(("head" if is_head else "embeddings") in parts)

    def extract(self) -> Any:
        """The successor as a plain model of fewer layers, which needs nothing of replank to be loaded."""
        return assemble(self.model, [module.successor for module in self.modules])
