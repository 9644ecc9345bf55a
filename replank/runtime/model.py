"""Loaded models: texts to predictions, vectors or labelled words, with ONNX Runtime or torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from replank.models.source import Source
from replank.runtime.masks import fill_masks, mask_places, require_masks
from replank.runtime.pooling import pool
from replank.runtime.predictors import Logits, Predictor, ReferencePredictor
from replank.runtime.providers import Device, provider_of
from replank.runtime.tagging import tag_text
from replank.system.errors import FieldError, ModelError, UsageError
from replank.tasks.answers import Filling, Prediction, Ranked, Score, TaggedText
from replank.tasks.entailment import DEFAULT_TEMPLATE, Candidates, Entailment
from replank.tasks.kinds.kind import Route
from replank.tasks.task import Task
from replank.tasks.vectors import Pooling
from replank.text.padding import Batch
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank.text.words import join_words, spans_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A loaded model: tokenizer, predictor and task.

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
        """The precision it computes in: ``fp32``, ``bf16``, ``int8``; of INT8, where the rest is not fp32, both."""
        floating = provider_of(self.device).arithmetic
        if floating == "fp32":
            return self.source.precision
        return floating if self.source.precision == "fp32" else f"{self.source.precision}, {floating}"

    def run_by(self, predictor: Predictor) -> Model:
        """The same model, run by another predictor, with the same references if it has some."""
        if isinstance(self.predictor, ReferencePredictor):
            predictor = self.predictor.around(predictor)
        return replace(self, predictor=predictor)

    def completed(self, batch: Batch) -> Batch:
        """A batch with all that the model takes, references too."""
        return self.predictor.completed(batch) if isinstance(self.predictor, ReferencePredictor) else batch

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
            for row, answer in zip(rows, self.task.decide(output), strict=True):
                answers[row] = answer[: len(tokens[row])]
        return answers

    def predict(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[Prediction]:
        """The label, the labels, or the number, of each text.

        :param texts: single texts, or pairs where the task compares two; a plain model folder may not tell which, and
            takes either.
        :raises ModelError: models of this kind label no whole texts.
        :raises UsageError: texts where pairs are expected, or the reverse.
        """
        self._require_route("/predict")
        first, second = self._columns(texts)
        return [_prediction(row, self.task.kind.holding(row)) for row in self.task.scores(self.logits(first, second))]

    def rank(self, query: str, passages: Sequence[str]) -> list[Ranked]:
        """The passages, the one that fits a query best first; of equal scores, the first given.

        :raises ModelError: models of this kind give no number for a pair.
        :raises UsageError: there are no passages.
        """
        if not (self.task.kind.can_rank and self.task.may_be_pair):
            raise ModelError(
                f"the model {self.source.name} {self.task.kind.serves}, and ranks no passages",
                hint="rerankers do: train one with `task=reranker`",
            )
        _require_list(passages)
        if not passages:
            raise UsageError("`passages` is empty; a query needs some to rank")
        rows = self.task.scores(self.logits([query] * len(passages), passages))
        return sorted((Ranked(index, row[0].score) for index, row in enumerate(rows)), key=lambda found: -found.score)

    def zero_shot(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        template: str = DEFAULT_TEMPLATE,
        multi_label: bool = False,
    ) -> list[Prediction]:
        """Labels that no model was trained on, by one of natural language inference: does a text entail them?

        :param labels: the candidates.
        :param template: the sentence that each label is put into, in the place of ``{}``.
        :param multi_label: whether any number of labels may hold, each from a probability of 0.5 on; else one does.
        :raises UsageError: the model's labels are not those of inference, or a label or the template can be none.
        """
        entailment = Entailment.of(self.task, self.source.name)
        _require_list(texts)
        if isinstance(labels, str):
            raise UsageError("`labels` is one text; expected a list of labels")
        candidates = Candidates(tuple(labels), template, multi_label)
        rows = entailment.scores(candidates, self.logits(*candidates.pairs(texts)))
        return [_prediction(row, candidates.holding(row)) for row in rows]

    def fill(self, texts: Sequence[str], *, top: int = 5) -> list[list[list[Filling]]]:
        """The likeliest tokens behind each mask of each text, by a masked language model.

        :param texts: with the tokenizer's mask in them, such as ``[MASK]`` or ``<mask>``.
        :param top: the number of tokens for each mask.
        :returns: of each text, of each mask, the likeliest first.
        :raises ModelError: models of this kind fill no masks.
        :raises UsageError: a text has no mask within the length that the model reads.
        """
        self._require_route("/fill-mask")
        _require_list(texts)
        if top < 1:
            raise FieldError("top", top, "1 or more")
        encoder = self.text_encoder
        read = encoder.tokenize(texts)
        require_masks(encoder, read)
        found: dict[int, list[list[Filling]]] = {}
        for rows, output in self._run(read, None):
            for row, logits in zip(rows, output, strict=True):
                found[row] = fill_masks(encoder, read[row], logits[mask_places(encoder, read[row])], top)
        return [found[row] for row in range(len(read))]

    def tag(
        self, texts: Sequence[str | Sequence[str]], *, progress: Callable[[int], None] | None = None
    ) -> list[TaggedText]:
        """The words of each text with their labels, and the entities that they make, in the text's own characters.

        Words are told apart as corpora do, not by white space alone: ``(london).`` is four of them and ``U.S.`` is one;
        see :class:`Word`. Those of raw text are read with single spaces between them, as the model has learnt words.

        :param texts: raw texts, or lists of the words of each, as training data has them: their places are those in
            the words joined by single spaces.
        :param progress: called after each batch with the number of texts in it.
        :raises ModelError: models of this kind label no words.
        """
        self._require_route("/ner")
        _require_list(texts)
        read = [self._read_words(text) for text in texts]
        found: dict[int, TaggedText] = {}
        for rows, output in self._run([tokens for _, tokens in read], progress):
            for row, logits in zip(rows, output, strict=True):
                found[row] = tag_text(self.task, *read[row], logits)
        return [found[row] for row in range(len(read))]

    def embed(
        self,
        texts: Sequence[str],
        *,
        pooling: Pooling | None = None,
        normalize: bool | None = None,
        prompt_name: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """A vector for each text.

        :param pooling: how the vectors of a text's tokens become one; the model's own way where ``None``.
        :param normalize: scale vectors to length 1, so that a dot product is a cosine; as the model does where
            ``None``.
        :param prompt_name: the name of the prompt that is put before each text; the model's default where ``None``.
        :param progress: called after each batch with the number of texts in it.
        :returns: shape ``(texts, hidden size)``.
        :raises ModelError: models of this kind give no vectors.
        :raises UsageError: the model has no such prompt, or pools by itself.
        """
        self._require_route("/embed")
        vectors = self.task.vector_settings.asked(pooling, normalize)
        first, _ = self._columns(texts)
        before = vectors.prompt(prompt_name)
        tokens = self.text_encoder.tokenize([before + text for text in first])
        found: dict[int, NDArray[np.float32]] = {}
        for rows, output in self._run(tokens, progress):
            for row, states in zip(rows, output, strict=True):
                cut = states[: len(tokens[row])] if self.task.is_per_token else states
                found[row] = pool(cut, vectors.pooling, normalize=vectors.normalize)
        width = len(next(iter(found.values()))) if found else 0
        return np.array([found[row] for row in range(len(first))], dtype=np.float32).reshape(len(first), width)

    def _require_route(self, route: Route) -> None:
        kind = self.task.kind
        if kind.route == route:
            return
        methods = {"/predict": "predict()", "/ner": "tag()", "/embed": "embed()", "/fill-mask": "fill()"}
        raise ModelError(f"the model {self.source.name} {kind.serves}", hint=f"call {methods[kind.route]}")

    def _columns(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> tuple[list[str], list[str] | None]:
        """The first texts and, of pairs, the second ones."""
        _require_list(texts)
        single = [text for text in texts if isinstance(text, str)]
        pairs = [(text[0], text[1]) for text in texts if not isinstance(text, str) and len(text) == 2]
        if len(pairs) == len(texts) and pairs and self.task.may_be_pair:
            return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if self.task.is_pair and texts:
            raise UsageError("`texts` holds single texts; the model takes pairs (first, second)")
        if len(single) != len(texts):
            raise UsageError("`texts` holds pairs; the model takes single texts")
        return single, None

    def _read_words(self, text: str | Sequence[str]) -> tuple[str, Tokens]:
        """A raw text, or one of given words, and its tokens with the places of its words."""
        if isinstance(text, str):
            return text, self.text_encoder.tokenize([text], words="found")[0]
        joined = join_words(text)
        return joined, replace(self.text_encoder.tokenize([joined], words="given")[0], spans=spans_of(joined))

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


def _prediction(row: Sequence[Score], holding: tuple[str, ...]) -> Prediction:
    return Prediction(row[0].label, row[0].score, {entry.label: entry.score for entry in row}, holding)


def _require_list(texts: Sequence[object]) -> None:
    # A str is a sequence of str too, and would be answered letter by letter.
    if isinstance(texts, str):
        raise UsageError("`texts` is one text; expected a list of texts")


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


def require_rows(source: Source, stage: str) -> None:
    """Refuse a model that labels neither texts nor their words.

    :raises ModelError: it gives vectors of tokens, or guesses masked ones.
    """
    if not source.task.kind.is_per_word:
        require_whole_texts(source, stage)
