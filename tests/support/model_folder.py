"""Changes to a model folder, and the token ids of its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from replank.system.json_files import read_json
from tiny import SPECIAL, VOCABULARY

UNK, CLS, SEP = (SPECIAL.index(token) for token in ("[UNK]", "[CLS]", "[SEP]"))
THE, FILM, GOOD = (VOCABULARY.index(word) for word in ("the", "film", "good"))
# The id of a token that is added: the number of tokens. "a" is twice in the list, so that it is the last one's too.
ADDED = len(set(VOCABULARY))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(read_json(file) | values), encoding="utf-8")
