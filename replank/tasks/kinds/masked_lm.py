"""Masked language modelling: the masked tokens of a text; its labels are the text itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from replank.system.errors import DataError
from replank.tasks.kinds.cells import Cell
from replank.tasks.kinds.kind import Kind, Route
from replank.tasks.kinds.learning import IGNORED

if TYPE_CHECKING:
    from replank.text.tokenization import TextEncoder
    from replank.text.tokens import Tokens

_MASKED = 0.15


class MaskedLm(Kind):
    """The token behind each mask, of the whole vocabulary."""

    name = "masked-lm"
    aliases: ClassVar[tuple[str, ...]] = ("fill-mask",)
    head = "MaskedLM"
    pipeline = "fill-mask"
    is_per_token = True
    is_over_vocabulary = True
    takes_pairs = False
    has_labels = False
    has_label_names = False
    # Logits of a whole vocabulary for each token are large.
    evaluation_batch = 8
    route: ClassVar[Route] = "/fill-mask"
    serves = "fills masks"

    def outputs(self, labels: Sequence[str]) -> int:
        """The vocabulary's."""
        return 0

    def describe(self, labels: Sequence[str]) -> str:
        """Tokens."""
        return "tokens"

    def parse_label(self, cell: Cell, text: str, index: Mapping[str, int]) -> Any:
        """There are none."""
        raise DataError("masked language modelling has no labels")

    def label_array(self, labels: Sequence[Any]) -> NDArray[Any]:
        """Empty: there are none."""
        return np.empty(0, dtype=np.int64)

    def example(
        self, tokens: Tokens, label: Any, text_encoder: TextEncoder, generator: Callable[[], np.random.Generator]
    ) -> tuple[Tokens, NDArray[np.int64]]:
        """Of 15 % of the tokens, 80 % become the mask, 10 % any token, and 10 % stay (Devlin et al., 2019)."""
        random = generator()
        ids = np.array(tokens.ids, dtype=np.int64)
        candidates = np.flatnonzero(~np.isin(ids, text_encoder.special_ids))
        target = np.full_like(ids, IGNORED)
        if candidates.size:
            count = max(1, round(_MASKED * candidates.size))
            chosen = random.choice(candidates, count, replace=False)
            target[chosen] = ids[chosen]
            fate = random.random(count)
            anything = random.integers(0, text_encoder.vocabulary_size, count)
            ids[chosen] = np.where(fate < 0.8, text_encoder.mask_id, np.where(fate < 0.9, anything, ids[chosen]))
        return replace(tokens, ids=ids.tolist()), target

    def default_metrics(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The fraction of masked tokens that were found."""
        return ("accuracy",)
