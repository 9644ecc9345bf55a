"""Arrays of a predecessor's that are computed once, and kept in a file with what they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from replank.system.errors import TrainingError
from replank.system.files import replace_file
from replank.system.processes import is_first_process
from replank_compress.training.processes import wait_for_all

_KEY, _DIGEST = "made_of", "sha256"


@dataclass(frozen=True)
class KeptArrays:
    """Arrays that belong together: the fields of a subclass.

    :cvar what: what they are, for messages.
    :cvar others: what a file with another key holds.
    :cvar others_hint: what helps then, if that is not to delete the file.
    """

    what: ClassVar[str]
    others: ClassVar[str]
    others_hint: ClassVar[str | None] = None

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def digest(self) -> str:
        """A sha256 over all of it."""
        return hashlib.sha256(b"".join(array.tobytes() for array in self.arrays.values())).hexdigest()

    @classmethod
    def kept(cls, path: Path, key: str, compute: Callable[[], Self]) -> Self:
        """Those in a file, or else new ones, which the file then keeps.

        Of several processes the first computes them, and the others read the file.

        :param key: the identity of what they are made of.
        :raises TrainingError: the file holds others, or is damaged.
        """
        if is_first_process() and not path.exists():
            made = compute()
            replace_file(path, save(made.arrays, {_KEY: key, _DIGEST: made.digest}))
        wait_for_all()
        return cls._read(path, key)

    @classmethod
    def _read(cls, path: Path, key: str) -> Self:
        hint = f"delete {path}, and they are computed again"
        try:
            with safe_open(path, framework="numpy") as file:
                noted = file.metadata() or {}
                found = cls(**{field.name: file.get_tensor(field.name) for field in fields(cls)})
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"{path} holds no {cls.what} that can be read: {error}", hint=hint) from None
        if noted.get(_KEY) != key:
            raise TrainingError(f"{path} holds {cls.others}", hint=cls.others_hint or hint)
        if noted.get(_DIGEST) != found.digest:
            raise TrainingError(f"{path} is damaged: its {cls.what} do not have the digest that it notes", hint=hint)
        return found
