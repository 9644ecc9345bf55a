"""The settings that all methods of compression share, and what a method starts from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import nn

from replank.system.errors import FieldError
from replank.system.settings import setting
from replank.tasks.kinds import Kind
from replank_compress.layers import group_sizes
from replank_compress.training.config import EPOCHS_HELP, TrainingConfig
from replank_compress.training.method import Method

if TYPE_CHECKING:
    from replank_compress.training.train import Training


@dataclass(frozen=True)
class Start:
    """The models and layers that a method starts from.

    :param kind: the kind of task.
    :param asks_each_step: whether the predecessor answers at each step, rather than once on all rows.
    :param predecessor: the fine-tuned model; the method may change it.
    :param origin: the model that the layers come from: the predecessor, or the pretrained encoder with a new head.
    :param layers: copies of the layers that the successor's start as, from the bottom.
    :param sizes: how many of the predecessor's layers each of them replaces.
    :param training: what it is for; ``None`` for methods that ask for no texts.
    :param digest: of the predecessor.
    """

    kind: Kind
    predecessor: Any
    origin: Any
    layers: Sequence[nn.Module]
    sizes: Sequence[int]
    asks_each_step: bool = False
    training: Training | None = None
    digest: str = ""


InitLayers = Literal["first", "spread", "fitted"]


@dataclass(frozen=True)
class SuccessorConfig(TrainingConfig):
    """The settings that all methods of compression share; a method is a subclass.

    :cvar name: the method's name.
    :param learning_rate: ``None`` is 1e-4, higher than in fine-tuning, because a few layers must learn what many knew;
        of embedding models 3e-4, because vectors say more of each text than a label does (benchmarks/log.md).
    :param layers: layers of the successor; must divide the predecessor's. ``None`` halves them.
    :param grouping: how many of the predecessor's layers each layer of the successor replaces, instead of ``layers``.
    :param init_from: the model whose layers the successor's start as: a hub name or a folder; ``None`` is the
        predecessor itself, as in the paper's code. Baselines take its embeddings too, and get a new head.
    :param init_layers: which layers of that model: the ``first`` ones, the first of each group (``spread``), or those
        with the last matrix of each and its norm such that it gives what its group gives (``fitted``), as nearly as
        least squares can have it on 32,000 tokens of the training split. No label is used. ``None`` is ``fitted``, or
        ``spread`` where too few texts or the layers do not allow that; of another model, the ``first``, as in the
        papers.
    """

    name: ClassVar[str]
    epochs: float = setting(5.0, EPOCHS_HELP)
    learning_rate: float | None = setting(
        None, "Peak learning rate of AdamW; if not given 1e-4, and 3e-4 for embedding models."
    )
    layers: int | None = setting(None, "Layers of the successor; half of the predecessor's if not given.")
    grouping: tuple[int, ...] | None = setting(
        None, "Number of the predecessor's layers that each layer of the successor replaces, such as 1,2,3,6."
    )
    init_from: str | Path | None = setting(
        None, "Hub name or folder of the model whose layers the successor starts from; the predecessor if not given."
    )
    init_layers: InitLayers | None = setting(
        None,
        "Which layers of that model: the first ones, the first of each group (spread), or those, fitted to what their "
        "groups compute (fitted). By default fitted; of another model, first.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_layers == "fitted" and self.init_from is not None:
            raise FieldError(
                "init_layers",
                self.init_layers,
                "first or spread with `init_from`: the predecessor's own layers are fitted to its groups",
            )

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
