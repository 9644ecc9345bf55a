"""The stage `compress`: from a predecessor to a successor of fewer layers, by any of the methods."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn
from transformers import set_seed

from replank.data.examples import DataConfig
from replank.models.artifact import Artifact, require_free
from replank.models.provenance import Stopwatch
from replank.models.source import Source, open_source, require_kind
from replank.runtime.evaluate import require_same_task
from replank.runtime.torch_model import load_torch_model, require_head
from replank.system.errors import ModelError, UsageError
from replank.system.settings import setting
from replank.tasks.kinds import Kind
from replank_compress.layers import group_sizes, layer_stack
from replank_compress.saving import Run, require_equal_logits, work_folder, write_artifact
from replank_compress.training.config import EPOCHS_HELP, LEARNING_RATE_HELP, TrainingConfig
from replank_compress.training.method import Method
from replank_compress.training.train import train


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

    @abstractmethod
    def method(self, start: Start) -> Method:
        """The training method of these settings."""

    def require_sense(self, total: int) -> None:
        """Refuse settings that do not fit a training of so many optimizer steps.

        :raises UsageError: with the setting to change as hint.
        """


def compress(
    source: Source, out: Path, config: SuccessorConfig, data_config: DataConfig, *, force: bool = False
) -> Artifact:
    """Compress a predecessor into a successor of fewer layers.

    :param source: a fine-tuned model, the predecessor.
    :param config: its type is the method.
    :raises ReplankError: the successor cannot be made; ``out`` is then as it was.
    """
    stopwatch = Stopwatch()
    require_kind(source, "torch", "compress")
    require_free(out, force=force, source=source.folder)
    sizes = group_sizes(source.layers, config.layers, config.grouping)
    data = data_config.load(source.task)
    require_head(source, data.task.kind)
    require_same_task(source.name, source.task, data)
    config.require_sense(config.steps(len(data.split("train"))))
    set_seed(config.seed)
    predecessor = load_torch_model(source)
    encoder = open_source(config.init_from) if config.init_from else None
    origin = _pretrained(encoder, source) if encoder else predecessor
    _require_fit(origin, predecessor)
    layers = initial_layers(origin, sizes, config.init_layers)
    method = config.method(Start(data.task.kind, predecessor, origin, layers, sizes))
    run = Run("compress", source, data, config, stopwatch, encoder)
    text_encoder = source.text_encoder(data.task)
    trained = train(
        method, data, text_encoder, config, work=work_folder(out), fingerprint=run.fingerprint, title="compress"
    )
    successor = method.extract()
    require_equal_logits(method.model.eval(), successor, text_encoder, data)
    return write_artifact(successor, run, trained, out, force=force)


def initial_layers(origin: Any, sizes: Sequence[int], choice: str) -> list[nn.Module]:
    """Copies of the layers that a successor's start as.

    :param choice: ``first``, or ``spread``: the first of each group.
    :raises UsageError: the model has too few layers.
    """
    stack = layer_stack(origin)
    indices = list(range(len(sizes)))
    if choice == "spread":
        indices = [end - size for end, size in zip(accumulate(sizes), sizes, strict=True)]
    if indices[-1] >= len(stack):
        raise UsageError(
            f"`init_from` has {len(stack)} layers; `init_layers={choice!r}` needs {indices[-1] + 1} of them or more"
        )
    return [copy.deepcopy(stack[index]) for index in indices]


def _pretrained(encoder: Source, predecessor: Source) -> Any:
    require_kind(encoder, "torch", "`init_from` of compress")
    task = predecessor.task
    return load_torch_model(encoder, task.kind, new_head=True, **task.kind.head_settings(task))


def _require_fit(origin: Any, predecessor: Any) -> None:
    """Refuse a model whose layers do not fit the predecessor's, or whose tokens are others.

    :raises ModelError: it has another architecture, hidden size or vocabulary.
    """
    ours, theirs = (
        [
            *((name, value.shape) for name, value in layer_stack(model)[0].state_dict().items()),
            ("tokens", model.get_input_embeddings().weight.shape),
            ("type", type(layer_stack(model)[0])),
        ]
        for model in (origin, predecessor)
    )
    if ours != theirs:
        raise ModelError(
            "`init_from` does not fit the predecessor: another architecture, hidden size or vocabulary",
            hint="name the encoder that the predecessor was fine-tuned from",
        )
