"""Running models: a batch of token ids to logits, with ONNX Runtime or with torch, behind one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from replank.models.onnx_checks import require_interface
from replank.models.source import Source
from replank.runtime.provider_choice import Auto, choose_device
from replank.runtime.providers import Device, provider_of
from replank.runtime.session import open_session
from replank.runtime.torch_devices import default_torch_device, torch_device
from replank.runtime.torch_model import load_torch_model, require_head
from replank.system.environment import available_cores, int8_target
from replank.system.errors import ModelError
from replank.system.extras import require
from replank.tasks.kinds import Kind
from replank.tasks.task import Task
from replank.text.padding import Batch
from replank.text.tokenization import TextEncoder, Tokens

if TYPE_CHECKING:
    import onnxruntime
    import torch

Logits = NDArray[np.float32]
_log = logging.getLogger(__name__)


class Predictor(Protocol):
    """A loaded model: called with a batch, it gives logits of shape ``(batch, outputs)``.

    Where each token is asked, of shape ``(batch, length, outputs)``.
    """

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        ...


@dataclass(frozen=True)
class Model:
    """Everything that turns texts into logits.

    :param device: where the predictor really runs, not where it was asked to.
    """

    source: Source
    task: Task
    text_encoder: TextEncoder
    predictor: Predictor
    device: Device

    @property
    def provider(self) -> str | None:
        """ONNX Runtime's name of the execution provider that runs it; ``None`` of a torch model."""
        return provider_of(self.device).name if self.source.kind == "onnx" else None

    @property
    def arithmetic(self) -> str:
        """What its numbers are computed in: ``fp32``, ``bf16``, ``int8``; of INT8, where the rest is not fp32, both."""
        floating = provider_of(self.device).arithmetic
        if floating == "fp32":
            return self.source.precision
        return floating if self.source.precision == "fp32" else f"{self.source.precision}, {floating}"

    def logits(
        self,
        first: Sequence[str],
        second: Sequence[str] | None = None,
        *,
        batch_size: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Logits:
        """Logits of many texts or pairs, in their order.

        Texts of like length are run together, because padding costs as much as tokens.

        :param batch_size: texts that run together; the kind of task's own where ``None``.
        :param progress: called after each batch with the number of texts in it.
        :returns: shape ``(texts, outputs)``.
        """
        tokens = self.text_encoder.tokenize(first, second)
        logits = np.zeros((len(tokens), self.task.outputs), dtype=np.float32)
        for rows, output in self._run(tokens, progress, batch_size):
            logits[rows] = output
        return logits

    def token_answers(
        self, tokens: Sequence[Tokens], *, progress: Callable[[int], None] | None = None
    ) -> list[NDArray[np.int64]]:
        """The likeliest output at each token of many examples, in their order: arrays as long as their tokens."""
        answers: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(tokens)
        for rows, output in self._run(tokens, progress):
            for row, answer in zip(rows, self.task.kind.decide(output), strict=True):
                answers[row] = answer[: len(tokens[row])]
        return answers

    def word_logits(self, texts: Sequence[str]) -> list[list[Logits | None]]:
        """Logits of each word of many texts: of its first token; ``None`` for a word that the model does not see.

        :param texts: as of :func:`join_words`.
        :returns: for each text, for each word, shape ``(outputs,)``.
        """
        tokens = self.text_encoder.tokenize(texts, words=True)
        answers: list[list[Logits | None]] = [[]] * len(tokens)
        for rows, output in self._run(tokens, None):
            for row, logits in zip(rows, output, strict=True):
                answers[row] = [logits[start] if start >= 0 else None for start in tokens[row].starts]
        return answers

    def _run(
        self, tokens: Sequence[Tokens], progress: Callable[[int], None] | None, batch_size: int | None = None
    ) -> Iterator[tuple[list[int], Logits]]:
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        batch_size = batch_size or self.task.kind.evaluation_batch
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield rows, self.predictor(self.text_encoder.pad([tokens[row] for row in rows]))
            if progress:
                progress(len(rows))


def load_model(
    source: Source, *, task: Task | None = None, device: Device | Auto = "cpu", threads: int | None = None
) -> Model:
    """Load a model to run it.

    :param task: what it is used for; its own task where ``None``.
    :param device: where to run it; ``auto``: where it is fastest, see :func:`choose_device`.
    :param threads: threads of one operator; the cores that this process may use where ``None``.
    :raises ModelError: the model has no head for the task, or cannot be loaded.
    :raises ProviderError: the device cannot run it. Nothing is ever run elsewhere in silence.
    """
    task = task or source.task
    threads = threads or available_cores()

    def load(device: Device) -> Model:
        predictor = (
            _load_torch(source, task.kind, device, threads)
            if source.kind == "torch"
            else _load_onnx(source, task, device, threads)
        )
        return Model(source, task, source.text_encoder(task), predictor, device)

    if device != "auto":
        return load(device)
    return load(default_torch_device()) if source.kind == "torch" else choose_device(source, threads, load)


class OnnxPredictor:
    """An ONNX Runtime session.

    :param output: the output that holds the answers.
    """

    def __init__(self, session: onnxruntime.InferenceSession, output: str = "logits") -> None:
        self._session, self._output = session, output
        self._inputs = [node.name for node in session.get_inputs()]

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        arrays = batch.inputs()
        # A graph may take segments although the tokenizer makes none; they are all zero then.
        feeds = {name: arrays.get(name, np.zeros_like(batch.input_ids)) for name in self._inputs}
        (logits,) = self._session.run([self._output], feeds)
        return np.asarray(logits, dtype=np.float32)


class TorchPredictor:
    """A transformers model with a head, in eager mode."""

    def __init__(self, model: torch.nn.Module, device: str) -> None:
        self.module = model.eval().to(device)
        self._device = device

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        import torch

        with torch.inference_mode():
            inputs = {name: torch.from_numpy(value).to(self._device) for name, value in batch.inputs().items()}
            # A model with a head gives logits, a bare encoder its last hidden state: the first of what either gives.
            logits: Logits = self.module(**inputs)[0].float().cpu().numpy()
        return logits


def require_whole_texts(source: Source, stage: str) -> None:
    """Refuse a model that answers tokens where texts are to be answered.

    :raises ModelError: it classifies tokens or guesses masked ones.
    """
    if source.task.is_per_token:
        raise ModelError(
            f"{source.name} answers each token ({source.task.kind}); {stage} handles models that answer whole texts",
            hint="replank evaluate and replank predict take it, as transformers does"
            if source.task.kind.has_labels
            else "fine-tune it on a task first: replank finetune",
        )


def require_served(source: Source) -> None:
    """Refuse a model of a kind that no route answers.

    :raises ModelError: the hint says what would help.
    """
    if source.task.kind.route is None:
        raise ModelError(
            f"{source.name} {source.task.kind.serves}", hint="fine-tune it on a task first: replank finetune"
        )


def _load_onnx(source: Source, task: Task, device: Device, threads: int) -> Predictor:
    provider_of(device).require_precision(source.name, source.precision)
    made_for = source.artifact.manifest.made_by.get("target") if source.artifact else None
    if made_for and made_for != int8_target():
        _log.warning(
            "%s is INT8 made for %s, and this machine is %s: it may be slow or less exact here; replank evaluate tells",
            source.name,
            made_for,
            int8_target(),
        )
    session = open_session(source.folder / "model.onnx", device=device, threads=threads)
    # Which output, the task decides; how many logits, the model itself.
    require_interface(session, source.name, replace(source.task, kind=task.kind))
    return OnnxPredictor(session, task.kind.output)


def _load_torch(source: Source, kind: Kind, device: Device, threads: int) -> Predictor:
    place = torch_device(device, source.name)
    require_head(source, kind)
    require("torch", "transformers")
    import torch

    torch.set_num_threads(threads)
    return TorchPredictor(load_torch_model(source, kind), place)
