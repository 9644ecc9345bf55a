"""Predictors: a padded batch of token ids to logits, with ONNX Runtime or with torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from replank.references.bank import ReferenceBank
from replank.system.files import FileIdentity
from replank.text.padding import Batch

if TYPE_CHECKING:
    import onnxruntime
    import torch

Logits = NDArray[np.float32]


class Predictor(Protocol):
    """A loaded model: called with a batch, it gives logits of shape ``(batch, outputs)``.

    Where each token is asked, of shape ``(batch, length, outputs)``.
    """

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        ...


class OnnxPredictor:
    """An ONNX Runtime session.

    :param output: the output that holds the answers.
    :param read: what told the model's files from others when they were read; ``None`` where nobody asks.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, output: str = "logits", read: FileIdentity | None = None
    ) -> None:
        self._session, self._output = session, output
        self.read: FileIdentity | None = read
        self._inputs = [node.name for node in session.get_inputs()]

    @property
    def threads(self) -> int:
        """Threads of one operator."""
        return int(self._session.get_session_options().intra_op_num_threads)

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        arrays = batch.inputs()
        # A graph may take token_type_ids although the tokenizer makes none; they are all zero then.
        feeds = {name: arrays.get(name, np.zeros_like(batch.input_ids)) for name in self._inputs}
        (logits,) = self._session.run([self._output], feeds)
        return np.asarray(logits, dtype=np.float32)


class TorchPredictor:
    """A transformers model with a head, in eager mode."""

    def __init__(self, model: torch.nn.Module, device: str) -> None:
        model.eval()  # an exported program's gives nothing back
        self.module: torch.nn.Module = model.to(device)
        self._device = device

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch."""
        import torch

        with torch.inference_mode():
            inputs = {name: torch.from_numpy(value).to(self._device) for name, value in batch.inputs().items()}
            # A model with a head gives logits, a bare encoder its last hidden state: the first of what either gives.
            logits: Logits = self.module(**inputs)[0].float().cpu().numpy()
        return logits


class ReferencePredictor:
    """A predictor of a model that attends to references: it finds those of each batch first, as part of its work.

    :ivar inner: what runs the batch with its references.
    """

    def __init__(self, inner: Predictor, bank: ReferenceBank) -> None:
        self.inner: Predictor = inner
        self._bank = bank

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch; references that it has already stay."""
        return self.inner(self.completed(batch))

    def completed(self, batch: Batch) -> Batch:
        """The batch with its references."""
        if batch.references is not None:
            return batch
        return replace(batch, references=self._bank.find(batch.input_ids, batch.attention_mask))

    def around(self, inner: Predictor) -> ReferencePredictor:
        """The same references for another predictor."""
        return ReferencePredictor(inner, self._bank)


def innermost(predictor: Predictor) -> Predictor:
    """What runs the model itself, without what looks up its references."""
    return predictor.inner if isinstance(predictor, ReferencePredictor) else predictor
