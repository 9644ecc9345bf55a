"""A child process that ends with its block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class ChildProcess(ABC):
    """A context that starts a process and ends it, whatever happens in between."""

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:  # Ctrl-C too: the block that would end the process is never entered
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @abstractmethod
    def _begin(self) -> None:
        """Start the process and wait until it is ready."""

    @abstractmethod
    def _end(self) -> None:
        """End the process at once: it has nothing to save."""
