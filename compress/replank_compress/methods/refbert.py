"""The method `refbert`: RefBERT-style, a student that also attends to a similar training text. A reconstruction.

Source: Wang et al., "RefBERT: Reference BERT for Compressed Models", IJCNN 2021; see :mod:`replank.references` for what
is theirs. The student is trained by `kd`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from replank.references.bank import BankPrecision, ReferenceBank
from replank.references.retrieval import KeywordRetriever, Retriever, VectorRetriever
from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting
from replank.text.tokens import Tokens
from replank_compress.layers import assemble, layer_stack
from replank_compress.methods.config import Start
from replank_compress.methods.kd import Distillation, KdConfig
from replank_compress.methods.soft_labels import PERTURBED_HELP
from replank_compress.references.states import States, compute_states, states_key
from replank_compress.references.student import StatesLookup, attach_references
from replank_compress.training.checkpoints import STATES
from replank_compress.training.method import Method


@dataclass(frozen=True)
class RefbertConfig(KdConfig):
    """RefBERT-style, our reconstruction: knowledge distillation into a successor that attends to a similar text too.

    The predecessor's states of training texts become keys and values for the successor's first layer, in a bank beside
    the model. Of each text, the bank's most similar other one is its reference, in training and ever after.

    :param retrieval: what is similar: rare tokens in common (``keywords``), or word vectors that point alike
        (``vectors``).
    :param references: texts that the bank holds, drawn by the seed; ``None`` for all of the training split.
    :param reference_tokens: tokens that it holds of each, from the first.
    :param bank_precision: of keys and values: ``fp16``, or ``int8`` with a scale for each token.
    """

    name: ClassVar[str] = "refbert"
    # Of a copy, the most similar text would be its own original.
    perturbed: float = setting(0.0, PERTURBED_HELP)
    retrieval: Literal["keywords", "vectors"] = setting(
        "keywords", "Which training text is a text's reference (RefBERT-style): by keywords in common, or by vectors."
    )
    references: int | None = setting(None, "Training texts that can be a reference; all if not given.")
    reference_tokens: int = setting(32, "Tokens that the bank of references holds of each text.")
    bank_precision: BankPrecision = setting("fp16", "Precision of the bank of references.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("references", "reference_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise FieldError(name, value, "1 or more")

    def method(self, start: Start) -> Method:
        """Distillation into ``origin`` with the given layers, the first of which sees references.

        :raises UsageError: the task has no labels: its texts are masked anew in each epoch, or answered by vectors.
        :raises ModelError: the model's layers are not built as BERT's.
        """
        if start.training is None or not start.kind.has_labels or start.training.data.task.gives_vectors:
            raise UsageError(
                f"`method='refbert'` takes tasks with labels, not {start.kind}", hint="`method='kd'` takes it"
            )
        training, predecessor = start.training, start.predecessor
        tokens = self._chosen(training.examples.tokens)
        states = States.kept(
            training.work / STATES,
            states_key(start.digest, tokens, self.reference_tokens),
            lambda: compute_states(predecessor, tokens, training.text_encoder, self.reference_tokens),
        )
        retriever = self._retriever([each.ids for each in tokens], training.text_encoder.special_ids, predecessor)
        return Referring(start, self, states, retriever)

    def _chosen(self, tokens: list[Tokens]) -> list[Tokens]:
        if self.references is None or self.references >= len(tokens):
            return tokens
        rows = np.random.default_rng(self.seed).permutation(len(tokens))[: self.references]
        return [tokens[row] for row in sorted(rows)]

    def _retriever(self, texts: list[list[int]], special: list[int], predecessor: Any) -> Retriever:
        if self.retrieval == "keywords":
            return KeywordRetriever.of(texts, special)
        words = predecessor.get_input_embeddings().weight.detach().float().cpu().numpy()
        return VectorRetriever.of(texts, special, words)


class Referring(Distillation):
    """A successor whose first layer sees the states of references, trained on labels and on the predecessor's logits.

    :param states: of the texts that can be references, in the retriever's order.
    """

    def __init__(self, start: Start, config: RefbertConfig, states: States, retriever: Retriever) -> None:
        super().__init__(start, config)
        self._states, self._retriever, self._precision = states, retriever, config.bank_precision
        self._lookup = StatesLookup(states, retriever)
        self._projections = attach_references(self.model, self._lookup, states.width)

    def extract(self) -> Any:
        """The successor as it is without references; see :meth:`bank`."""
        first: Any
        first, *others = layer_stack(self.model)
        return assemble(self.model, [first.layer, *others])

    def with_references(self, extracted: Any) -> Any:
        """A copy of the extracted successor that sees references as it did in training."""
        model = copy.deepcopy(extracted)
        attach_references(model, self._lookup, self._states.width).load_state_dict(self._projections.state_dict())
        return model.eval()

    def bank(self) -> ReferenceBank:
        """Keys and values of all references."""
        return self._projections.bank(self._states, self._retriever, self._precision)
