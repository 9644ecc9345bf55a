"""A process for as long as a block needs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class ChildProcess(ABC):
    """Entering begins it, and leaving ends it, whatever happens in either."""

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
        """Wait until it is ready."""

    @abstractmethod
    def _end(self) -> None:
        """At once: there is nothing to save."""
