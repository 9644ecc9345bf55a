"""Module replacing: a predecessor's layers and the successor layer that takes their place, in one stack.

Source: Xu et al., "BERT-of-Theseus", EMNLP 2020, section 3.2. A module is c consecutive layers of the predecessor
and one layer of the successor. For each batch each module runs the one or the other, never both, so compute really
is saved; transformers' own forward drives the stack and notices nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import nn

from replank.encoders import encoder_of
from replank.errors import UsageError


class ReplaceableModule(nn.Module):
    """c predecessor layers and the successor layer that replaces them.

    :param replaced: which of the two the next training batch runs. Evaluation runs the successor, always.
    """

    def __init__(self, predecessor: Sequence[nn.Module]) -> None:
        super().__init__()
        self.predecessor = nn.ModuleList(predecessor)
        self.successor = nn.Module()
        self.replaced = True

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Hidden states in, hidden states out, shape ``(batch, length, hidden)``."""
        if self.replaced or not self.training:
            output: torch.Tensor = self.successor(hidden_states, *args, **kwargs)
            return output
        for layer in self.predecessor:
            hidden_states = layer(hidden_states, *args, **kwargs)
        return hidden_states


class Theseus:
    """A predecessor under replacement.

    The successor's layers learn; the predecessor's never do, and embeddings, pooler and head only when told.
    The successor's layers start as copies of the predecessor's first layers, as in the paper's code.

    :param model: the fine-tuned predecessor, a ``PreTrainedModel``; it is changed in place.
    :param layers: layers of the successor; must divide the predecessor's.
    :raises UsageError: it does not divide.
    """

    def __init__(self, model: Any, layers: int) -> None:
        stack = layer_stack(model)
        require_divisor(len(stack), layers)
        share = len(stack) // layers
        successors = [copy.deepcopy(layer) for layer in stack[:layers]]
        self.model = model
        self.modules = [ReplaceableModule(list(stack)[i * share : (i + 1) * share]) for i in range(layers)]
        for module, successor in zip(self.modules, successors, strict=True):
            module.successor = successor
        stack.requires_grad_(False)
        for successor in successors:
            successor.requires_grad_(True)
        _set_layer_stack(model, nn.ModuleList())
        self._shared = list(model.parameters())
        _set_layer_stack(model, nn.ModuleList(self.modules))
        self.train_shared(False)

    def draw(self, rate: float, generator: np.random.Generator) -> int:
        """Toss a coin for each module, for the next batch.

        :param rate: the replacing rate, 0 to 1.
        :returns: how many modules are replaced.
        """
        for module, coin in zip(self.modules, generator.random(len(self.modules)), strict=True):
            module.replaced = bool(coin < rate)
        return sum(module.replaced for module in self.modules)

    def train_shared(self, trainable: bool) -> None:
        """Let embeddings, pooler and head, which predecessor and successor share, learn; or freeze them."""
        for parameter in self._shared:
            parameter.requires_grad_(trainable)

    def extract(self) -> Any:
        """The successor as a plain model of fewer layers, which needs nothing of replank to be loaded."""
        config = copy.deepcopy(self.model.config)
        config.num_hidden_layers = len(self.modules)
        successor = type(self.model)(config)
        stack = layer_stack(self.model)
        _set_layer_stack(self.model, nn.ModuleList(module.successor for module in self.modules))
        try:
            successor.load_state_dict(self.model.state_dict(), strict=True)
        finally:
            _set_layer_stack(self.model, stack)
        return successor.eval()


def layer_stack(model: Any) -> nn.ModuleList:
    """The layers of a transformers encoder, in order."""
    stack: nn.ModuleList = attrgetter(_stack_path(model))(model.base_model)
    return stack


def require_divisor(layers: int, target: int) -> None:
    """Refuse a number of layers that the predecessor cannot be grouped into.

    :raises UsageError: the message lists the numbers that can.
    """
    divisors = [number for number in range(1, layers) if layers % number == 0]
    if target not in divisors:
        raise UsageError(
            f"--layers {target} does not divide the predecessor's {layers} layers into equal groups",
            hint=f"choose one of {', '.join(map(str, reversed(divisors)))}" if divisors else None,
        )


def _stack_path(model: Any) -> str:
    return encoder_of(model.config.to_dict(), type(model).__name__).layers


def _set_layer_stack(model: Any, stack: nn.ModuleList) -> None:
    parent, _, name = _stack_path(model).rpartition(".")
    setattr(attrgetter(parent)(model.base_model), name, stack)
