"""Module replacing: a predecessor's layers and the successor layers that take their place, in one stack.

Source: Xu et al., "BERT-of-Theseus", EMNLP 2020, section 3.2. A module is c consecutive layers of the predecessor
and one layer of the successor. In each step each module runs the one or the other, never both, so that compute really
is saved; transformers' own forward drives the stack unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from replank_compress.layers import assemble, encoder_of_model, kind_of, layer_stack, set_layer_stack

# Of a text whose hidden states are all alike.
_LEAST_SPREAD = 1e-6


class Relay(nn.Module):
    """A place in the stack that passes hidden states on and keeps what else a layer there is given.

    Where layers differ in their kind of attention, transformers gives each the masks and rotary angles of its own kind.
    A module has layers of several kinds: it takes those of each from the relay of that kind, at the stack's beginning.

    :ivar given: the further arguments of the last forward pass.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.attention_type = kind
        self.given: tuple[tuple[Any, ...], dict[str, Any]] = (), {}

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The hidden states as they are."""
        self.given = args, kwargs
        return hidden_states


class ReplaceableModule(nn.Module):
    """c predecessor layers and the successor layer that replaces them.

    :param relays: by kind of attention, in encoders that mix kinds; else empty.
    :ivar replaced: which of the two runs in training. Evaluation always runs the successor.
    :ivar compares: whether a replaced module also keeps what its predecessor layers give for the same input.
    :ivar outputs: what both gave in the last such step, ours and theirs, each of shape ``(batch, length, hidden)``.
    """

    def __init__(
        self, predecessor: Sequence[nn.Module], successor: nn.Module, relays: Mapping[str, Relay] | None = None
    ) -> None:
        super().__init__()
        self.predecessor = nn.ModuleList(predecessor)
        self.successor = successor
        self.attention_type = kind_of(successor)
        self._relays = dict(relays or {})
        self.replaced, self.compares = True, False
        self.outputs: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Hidden states in, hidden states out, shape ``(batch, length, hidden)``.

        Further outputs of a layer, such as attentions, are those of the last layer that ran.
        """
        if not self.training:
            return self.successor(hidden_states, *args, **kwargs)
        if not self.replaced:
            return self._predecessor_output(hidden_states, *args, **kwargs)
        output = self.successor(hidden_states, *args, **kwargs)
        if self.compares:
            # Without dropout: what is to be learned is what the predecessor answers with.
            self.predecessor.eval()
            with torch.no_grad():
                wanted = self._predecessor_output(hidden_states, *args, **kwargs)
            self.predecessor.train()
            self.outputs = _hidden_states(output), _hidden_states(wanted)
        return output

    def _predecessor_output(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        output: Any = None
        for layer in self.predecessor:
            kind = kind_of(layer)
            if kind is not None:
                args, kwargs = self._relays[kind].given
            output = layer(hidden_states, *args, **kwargs)
            hidden_states = _hidden_states(output)
        return output


def _hidden_states(output: Any) -> torch.Tensor:
    hidden_states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return hidden_states


class ModuleReplacement:
    """A predecessor whose stack is made of replaceable modules.

    The successor's layers are trainable; the predecessor's are frozen, and what both share (embeddings, pooler and
    head) is trainable only when told. A layer that is not drawn has no gradient, rather than one of zeros, so that the
    optimizer passes it over: neither momentum nor weight decay moves it in that step. (The paper's code ran on a torch
    whose ``zero_grad`` left zeros, and AdamW moved undrawn layers too.)

    :param model: the fine-tuned predecessor, a ``PreTrainedModel``; it is changed in place.
    :param successors: the successor's layers, from the bottom.
    :param sizes: how many of the predecessor's layers each of them replaces.
    """

    def __init__(self, model: Any, successors: Sequence[nn.Module], sizes: Sequence[int]) -> None:
        stack = layer_stack(model).requires_grad_(False)
        rest = iter(stack)
        self.model = model
        relays = {kind: Relay(kind) for kind in map(kind_of, stack) if kind is not None}
        self.modules = [
            ReplaceableModule([next(rest) for _ in range(size)], successor.requires_grad_(True), relays)
            for size, successor in zip(sizes, successors, strict=True)
        ]
        set_layer_stack(model, [])
        is_in_pooler = encoder_of_model(model).is_in_pooler
        head = {id(parameter) for parameter in model.parameters()}
        head -= {id(parameter) for name, parameter in model.base_model.named_parameters() if not is_in_pooler(name)}
        self._shared = [(parameter, id(parameter) in head) for parameter in model.parameters()]
        set_layer_stack(model, [*relays.values(), *self.modules])
        self.train_shared(())

    def replace(self, gates: Sequence[bool], *, compares: bool = False) -> None:
        """Set which modules run replaced in training, one gate a module.

        :param compares: whether they also run their predecessor layers, for :meth:`discrepancy`.
        """
        for module, gate in zip(self.modules, gates, strict=True):
            module.replaced, module.compares = bool(gate), compares

    def discrepancy(self, attention_mask: torch.Tensor) -> torch.Tensor:
        """How far the replaced modules were from their predecessor layers in the last forward pass, a scalar.

        The mean over texts and over all modules, 0 for one that was not replaced, of the squared distance of a text's
        hidden states as a part of the variance of the predecessor's. Source: TED (arXiv 2210.01351) and DCR (arXiv
        2511.18670) regress hidden states so; here both branches have the same input.

        :param attention_mask: 0 for padding, which does not count, shape ``(batch, length)``.
        """
        is_real = attention_mask.unsqueeze(-1).float()
        total = torch.zeros((), device=attention_mask.device)
        for module in self.modules:
            if module.outputs is not None:
                ours, theirs = (hidden.float() for hidden in module.outputs)
                mean = (theirs * is_real).sum(1, keepdim=True) / is_real.sum(1, keepdim=True)
                distance, spread = (
                    (difference.square() * is_real).sum((1, 2)) for difference in (ours - theirs, theirs - mean)
                )
                total = total + (distance / spread.clamp_min(_LEAST_SPREAD)).mean()
                module.outputs = None
        return total / len(self.modules)

    def train_shared(self, parts: Sequence[str]) -> None:
        """Make parts of what predecessor and successor share trainable, and freeze the rest.

        :param parts: of ``embeddings`` (and whatever else the encoder has beside its layers) and ``head`` (pooler and
            head, except for a matrix that is tied to the embeddings).
        """
        for parameter, is_head in self._shared:
            parameter.requires_grad_(("head" if is_head else "embeddings") in parts)

    def extract(self) -> Any:
        """The successor as a plain model of fewer layers, which loads without replank."""
        return assemble(self.model, [module.successor for module in self.modules])
