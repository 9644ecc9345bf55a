"""Running models: a batch of token ids to logits, with ONNX Runtime or with torch, behind one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from replank.environment import available_cores
from replank.errors import MissingExtraError, ModelError, ProviderError
from replank.extras import installed_version, require
from replank.metrics import decide
from replank.source import Source
from replank.tasks import Kind, Task
from replank.text import Batch, TextEncoder, Tokens
from replank.torch_model import load_torch_model, require_head

if TYPE_CHECKING:
    import onnxruntime
    import torch

Device = Literal["cpu", "cuda"]
Logits = NDArray[np.float32]
EVALUATION_BATCH = 32
_MASKED_LM_BATCH = 8


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

    def logits(
        self,
        first: Sequence[str],
        second: Sequence[str] | None = None,
        *,
        batch_size: int = EVALUATION_BATCH,
        progress: Callable[[int], None] | None = None,
    ) -> Logits:
        """Logits of many texts or pairs, in their order.

        Texts of like length are run together, because padding costs as much as tokens.

        :param progress: called after each batch with the number of texts in it.
        :returns: shape ``(texts, outputs)``.
        """
        tokens = self.text_encoder.tokenize(first, second)
        logits = np.zeros((len(tokens), self.task.outputs), dtype=np.float32)
        for rows, output in self._run(tokens, batch_size, progress):
            logits[rows] = output
        return logits

    def token_answers(
        self, tokens: Sequence[Tokens], *, progress: Callable[[int], None] | None = None
    ) -> list[NDArray[np.int64]]:
        """The likeliest output at each token of many examples, in their order: arrays as long as their tokens."""
        answers: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(tokens)
        # A vocabulary of logits for each token is large: fewer at once.
        batch_size = _MASKED_LM_BATCH if self.task.kind == "masked-lm" else EVALUATION_BATCH
        for rows, output in self._run(tokens, batch_size, progress):
            for row, answer in zip(rows, decide(self.task, output), strict=True):
                answers[row] = answer[: len(tokens[row])]
        return answers

    def word_logits(self, texts: Sequence[str]) -> list[list[Logits | None]]:
        """Logits of each word of many texts: of its first token; ``None`` for a word that the model does not see.

        :param texts: as of :func:`replank.words.join_words`.
        :returns: for each text, for each word, shape ``(outputs,)``.
        """
        tokens = self.text_encoder.tokenize(texts, words=True)
        answers: list[list[Logits | None]] = [[]] * len(tokens)
        for rows, output in self._run(tokens, EVALUATION_BATCH, None):
            for row, logits in zip(rows, output, strict=True):
                answers[row] = [logits[start] if start >= 0 else None for start in tokens[row].starts]
        return answers

    def _run(
        self, tokens: Sequence[Tokens], batch_size: int, progress: Callable[[int], None] | None
    ) -> Iterator[tuple[list[int], Logits]]:
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield rows, self.predictor(self.text_encoder.pad([tokens[row] for row in rows]))
            if progress:
                progress(len(rows))


def load_model(
    source: Source, *, task: Task | None = None, device: Device = "cpu", threads: int | None = None
) -> Model:
    """Load a model to run it.

    :param task: what it is used for; its own task where ``None``.
    :param threads: threads of one operator; the cores that this process may use where ``None``.
    :raises ModelError: the model has no head for the task, or cannot be loaded.
    :raises ProviderError: the device cannot run it. Nothing is ever run elsewhere in silence.
    """
    task = task or source.task
    threads = threads or available_cores()
    if source.kind == "torch":
        predictor = _load_torch(source, task.kind, device, threads)
    else:
        predictor = _load_onnx(source, device, threads)
    return Model(source, task, source.text_encoder(task), predictor, device)


class OnnxPredictor:
    """An ONNX Runtime session."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._inputs = [node.name for node in session.get_inputs()]
        self._output = session.get_outputs()[0].name

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        arrays = batch.inputs()
        # A graph may take segments although the tokenizer makes none; they are all zero then.
        feeds = {name: arrays.get(name, np.zeros_like(batch.input_ids)) for name in self._inputs}
        (logits,) = self._session.run([self._output], feeds)
        return np.asarray(logits, dtype=np.float32)


class TorchPredictor:
    """A transformers model with a head, in eager mode."""

    def __init__(self, model: torch.nn.Module, device: Device) -> None:
        self._model = model.eval().to(device)
        self._device = device

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        import torch

        with torch.inference_mode():
            inputs = {name: torch.from_numpy(value).to(self._device) for name, value in batch.inputs().items()}
            logits: Logits = self._model(**inputs).logits.float().cpu().numpy()
        return logits


def open_session(path: Path, *, device: Device = "cpu", threads: int | None = None) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session that runs where it was asked to, or not at all.

    :raises ProviderError: the execution provider is not in this build, or did not start.
    :raises ModelError: the graph cannot be loaded.
    """
    require_onnxruntime()
    import onnxruntime

    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    if provider not in onnxruntime.get_available_providers():
        raise ProviderError(
            f"--device {device}: this onnxruntime has no {provider}",
            hint="replank doctor tells what is installed; CUDA needs the replank[gpu] extra instead of replank[cpu]",
        )
    if device == "cuda":
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime's own exceptions share no base class but Exception
        raise ModelError(f"onnxruntime cannot load {path}: {error}") from error
    # Without this, a CUDA provider that fails to start leaves a session that runs on the CPU.
    if session.get_providers()[0] != provider:
        raise ProviderError(
            f"--device {device}: {provider} did not start; onnxruntime fell back to {session.get_providers()[0]}",
            hint="replank doctor shows which CUDA library or driver is missing",
        )
    return session


def require_onnxruntime() -> None:
    """Make sure that one of the two wheels of ONNX Runtime is installed.

    :raises MissingExtraError: neither is.
    """
    if not (installed_version("onnxruntime") or installed_version("onnxruntime-gpu")):
        raise MissingExtraError(
            "onnxruntime is not installed", hint='pip install "replank[cpu]", or "replank[gpu]" for CUDA'
        )


def require_whole_texts(source: Source, stage: str) -> None:
    """Refuse a model that answers tokens where texts are to be answered.

    :raises ModelError: it classifies tokens or guesses masked ones.
    """
    if source.task.is_per_token:
        raise ModelError(
            f"{source.name} answers each token ({source.task.kind}); {stage} handles models that answer whole texts",
            hint="make a model of a task of it first: replank finetune ENCODER OUT --task …"
            if source.task.kind == "masked-lm"
            else "replank evaluate and replank predict take it, as transformers does",
        )


def _load_onnx(source: Source, device: Device, threads: int) -> Predictor:
    if device == "cuda" and source.precision == "int8":
        raise ProviderError(
            f"{source.name} is INT8, which the CUDA provider cannot run", hint="INT8 is for --device cpu"
        )
    return OnnxPredictor(open_session(source.folder / "model.onnx", device=device, threads=threads))


def _load_torch(source: Source, kind: Kind, device: Device, threads: int) -> Predictor:
    require_head(source, kind)
    require("torch", "transformers")
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ProviderError("--device cuda: torch finds no CUDA device", hint="replank doctor shows why")
    torch.set_num_threads(threads)
    return TorchPredictor(load_torch_model(source, kind), device)
