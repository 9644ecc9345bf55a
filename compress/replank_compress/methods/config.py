"""The settings that all methods of compression share, and what a method starts from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn

from replank.system.settings import setting
from replank.tasks.kinds import Kind
from replank_compress.layers import group_sizes
from replank_compress.training.config import EPOCHS_HELP, LEARNING_RATE_HELP, TrainingConfig
from replank_compress.training.method import Method


@dataclass(frozen=True)
class Start:
    """The models and layers that a method starts from.

    :param kind: the kind of task.
    :param predecessor: the fine-tuned model; the method may change it.
    :param origin: the model that the layers come from: the predecessor, or the pretrained encoder with a new head.
    :param layers: copies of the layers that the successor's start as, from the bottom.
    :param sizes: how many of the predecessor's layers each of them replaces.
    """

    kind: Kind
    predecessor: Any
    origin: Any
    layers: Sequence[nn.Module]
    sizes: Sequence[int]


# For methods with another default.
INIT_LAYERS_HELP = "Which layers of that model: the first ones, or the first of each group (spread)."


@dataclass(frozen=True)
class SuccessorConfig(TrainingConfig):
    """The settings that all methods of compression share; a method is a subclass.

    The learning rate is higher than in fine-tuning, because a few layers must learn what many knew.

    :cvar name: the method's name.
    :param layers: layers of the successor; must divide the predecessor's. ``None`` halves them.
    :param grouping: how many of the predecessor's layers each layer of the successor replaces, instead of ``layers``.
    :param init_from: the model whose layers the successor's start as: a hub name or a folder; ``None`` is the
        predecessor itself, as in the paper's code. Baselines take its embeddings too, and get a new head.
    :param init_layers: which layers of that model: the ``first`` ones, or the first of each group (``spread``).
    """

    name: ClassVar[str]
    epochs: float = setting(5.0, EPOCHS_HELP)
    learning_rate: float = setting(1e-4, LEARNING_RATE_HELP)
    layers: int | None = setting(None, "Layers of the successor; half of the predecessor's if not given.")
    grouping: tuple[int, ...] | None = setting(
        None, "Number of the predecessor's layers that each layer of the successor replaces, such as 1,2,3,6."
    )
    init_from: str | Path | None = setting(
        None, "Hub name or folder of the model whose layers the successor starts from; the predecessor if not given."
    )
    init_layers: Literal["first", "spread"] = setting("first", INIT_LAYERS_HELP)

    def group_sizes(self, depth: int) -> tuple[int, ...]:
        """The number of a predecessor's layers that each layer of the successor replaces.

        :param depth: layers of the predecessor.
        :raises UsageError: its layers cannot be grouped so.
        """
        return group_sizes(depth, self.layers, self.grouping)

    @abstractmethod
    def method(self, start: Start) -> Method:
        """The training method of these settings."""

    def require_sense(self, total: int) -> None:
        """Refuse settings that do not fit a training of so many optimizer steps.

        :raises UsageError: with the setting to change as hint.
        """
