"""How an encoder makes one vector of a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import UsageError

# As sentence-transformers names them.
Pooling = Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors at length 1, so that a product of two is their cosine; those of length 0 as they are.

    :param vectors: shape ``(…, width)``.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


@dataclass(frozen=True)
class Vectors:
    """The settings of an embedding model, where a request says nothing else.

    :param pooling: how the vectors of a text's tokens become one; ``None`` where the graph has done it.
    :param normalize: scale vectors to length 1, so that a dot product is a cosine.
    :param prompts: texts that are put before an input, by name.
    :param default_prompt: the name of the prompt of inputs that ask for none; ``None``: no prompt.
    """

    pooling: Pooling | None = "mean"
    normalize: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None

    def asked(self, pooling: Pooling | None, normalize: bool | None) -> Vectors:
        """The settings for a request, which may say something else.

        :raises UsageError: another pooling of a model that pools by itself.
        """
        if pooling is not None and self.pooling is None:
            raise UsageError(f"pooling is {pooling!r}; the model pools by itself, in its graph")
        return replace(
            self,
            pooling=self.pooling if pooling is None else pooling,
            normalize=self.normalize if normalize is None else normalize,
        )

    def prompt(self, name: str | None) -> str:
        """The text of a prompt, or of the default one.

        :raises UsageError: there is no prompt of this name.
        """
        name = name or self.default_prompt
        if name is None:
            return ""
        if name not in self.prompts:
            known = ", ".join(self.prompts) or "none"
            raise UsageError(f"prompt_name: the model has no prompt {name!r}; its prompts: {known}")
        return self.prompts[name]
