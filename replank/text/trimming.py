"""A smaller vocabulary for a tokenizer: which tokens may go, and its ``tokenizer.json`` without them.

A text whose tokens are all kept is cut as before. Of a WordPiece vocabulary that holds for any choice of tokens, as the
longest that fits is taken at each place. Of BPE, whatever a kept token is merged from is kept with it. Of a unigram
model, the best path stays the best among fewer; the token of the lowest score stays, as the cost of an unknown
character hangs on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replank.system.errors import ModelError


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a ``tokenizer.json`` by their ids.

    :param content: of the file.
    """

    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """``WordPiece``, ``BPE`` or ``Unigram``.

        :raises ModelError: it is another.
        """
        model = self.content["model"]
        kind = str(model.get("type") or ("Unigram" if isinstance(model.get("vocab"), list) else None))
        if kind not in ("WordPiece", "BPE", "Unigram"):
            raise ModelError(f"the tokenizer is of type {kind}; WordPiece, BPE and Unigram vocabularies can be trimmed")
        return kind

    @property
    def tokens(self) -> dict[int, str]:
        """Every token, added ones too, by its id."""
        vocab = self.content["model"]["vocab"]
        pairs = enumerate(token for token, _ in vocab) if self.kind == "Unigram" else ((i, t) for t, i in vocab.items())
        return dict(pairs) | {entry["id"]: entry["content"] for entry in self.content.get("added_tokens") or []}

    def required(self) -> set[int]:
        """The ids that are kept whatever the texts: added and special tokens, single characters, and bytes."""
        model = self.content["model"]
        marks = [model.get(key) or "" for key in ("continuing_subword_prefix", "end_of_word_suffix")]
        found = {entry["id"] for entry in self.content.get("added_tokens") or []}
        for index, token in self.tokens.items():
            bare = token.removeprefix(marks[0]).removesuffix(marks[1])
            is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
            # Sentence pieces mark the beginning of a word.
            if len(bare.removeprefix("▁")) <= 1 or is_byte or token == model.get("unk_token"):
                found.add(index)
        if self.kind == "Unigram":
            scores = [score for _, score in model["vocab"]]
            found |= {scores.index(min(scores))} | ({model["unk_id"]} if model.get("unk_id") is not None else set())
        return found

    def with_parts(self, kept: Collection[int]) -> set[int]:
        """Ids with those of the tokens that they are merged from; of BPE alone are there any."""
        if self.kind != "BPE":
            return set(kept)
        ids: dict[str, int] = self.content["model"]["vocab"]
        made_of: dict[str, list[str]] = {}
        for left, right, merged in _merges(self.content):
            made_of.setdefault(merged, []).extend((left, right))
        names = self.tokens
        found, waiting = set(kept), [names[index] for index in kept]
        while waiting:
            for part in made_of.get(waiting.pop(), ()):
                if ids[part] not in found:
                    found.add(ids[part])
                    waiting.append(part)
        return found

    def without_others(self, kept: Sequence[int]) -> dict[str, Any]:
        """The content of a ``tokenizer.json`` with these tokens alone, which are numbered in their order.

        :param kept: ids, which hold the required ones and their parts.
        """
        new_ids = {old: new for new, old in enumerate(kept)}
        model = dict(self.content["model"])
        if self.kind == "Unigram":
            model["vocab"] = [model["vocab"][index] for index in kept if index < len(model["vocab"])]
            model["unk_id"] = None if model.get("unk_id") is None else new_ids[model["unk_id"]]
        else:
            model["vocab"] = {token: new_ids[index] for token, index in model["vocab"].items() if index in new_ids}
        if self.kind == "BPE":
            names = model["vocab"]
            pairs = zip(model["merges"], _merges(self.content), strict=True)
            model["merges"] = [merge for merge, parts in pairs if set(parts) <= names.keys()]
        added = [{**entry, "id": new_ids[entry["id"]]} for entry in self.content.get("added_tokens") or []]
        processor = renumbered(self.content.get("post_processor"), new_ids)
        return {**self.content, "model": model, "added_tokens": added, "post_processor": processor, "padding": None}


def most_frequent(counts: Counter[int], coverage: float) -> set[int]:
    """The tokens that make up a part of all occurrences, the most frequent first.

    :param coverage: the part, more than 0 and at most 1.
    """
    wanted, seen, found = coverage * counts.total(), 0, set()
    for index, count in counts.most_common():
        if seen >= wanted:
            break
        seen += count
        found.add(index)
    return found


def renumbered(value: Any, new_ids: Mapping[int, int]) -> Any:
    """A post-processor whose special tokens have new ids: ``ids`` of a template, or a pair of a token and its id."""
    if isinstance(value, dict):
        return {
            key: [new_ids[index] for index in part] if key == "ids" else renumbered(part, new_ids)
            for key, part in value.items()
        }
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
            return [value[0], new_ids[value[1]]]
        return [renumbered(part, new_ids) for part in value]
    return value


def _merges(content: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """The pairs that BPE merges, with what they become; older files hold a pair as one text with a space between."""
    prefix = content["model"].get("continuing_subword_prefix") or ""
    for merge in content["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        yield left, right, left + right.removeprefix(prefix)
