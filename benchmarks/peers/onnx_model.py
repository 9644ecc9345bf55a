"""What every other server runs: the same graph, the same tokens. Needs onnxruntime, tokenizers and numpy only.

The folder is in MODEL, the number of threads in THREADS, the port in PORT.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

PORT = int(os.environ["PORT"])


class OnnxModel:
    """Texts to probabilities, in one padded batch."""

    def __init__(self) -> None:
        folder = Path(os.environ["MODEL"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["THREADS"])
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        manifest = json.loads((folder / "replank.json").read_text(encoding="utf-8"))
        self._tokenizer.enable_truncation(manifest["task"]["max_length"])
        pad_id = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("pad_token_id") or 0
        self._tokenizer.enable_padding(pad_id=pad_id)

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """Probabilities of each text's labels."""
        found = self._tokenizer.encode_batch(list(texts))
        arrays = {
            "input_ids": [one.ids for one in found],
            "attention_mask": [one.attention_mask for one in found],
            "token_type_ids": [one.type_ids for one in found],
        }
        feeds = {name: np.array(arrays[name], dtype=np.int64) for name in self._inputs}
        (logits,) = self._session.run(None, feeds)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: list[list[float]] = (powers / powers.sum(axis=1, keepdims=True)).tolist()
        return probabilities
