"""The tree of errors: each says which value is wrong, what was expected, and what to try next.

A setting is written in backticks by its Python name, such as `max_drop` or `force=True`: a command line replaces it by
its own flag. Every error carries its consequence: the exit code of the command line and the HTTP status of the server.
"""

from __future__ import annotations


class ReplankError(Exception):
    """A stage could not do its work; nothing was written.

    :param message: what is wrong, with the value that is wrong.
    :param hint: the next thing to try, often a command.
    """

    exit_code = 1
    http_status = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ReplankError):
    """A flag or an argument has a value that cannot work, whatever the data."""

    exit_code = 2
    http_status = 422


class FieldError(UsageError):
    """A field of a configuration, or an argument, has a value that cannot work.

    :param field: its Python name, such as ``"max_drop"``.
    :param value: its present value.
    :param expected: the values that are allowed, in words: ``"a fraction, 0 to 1"``.
    """

    def __init__(self, field: str, value: object, expected: str, *, hint: str | None = None) -> None:
        super().__init__(f"`{field}` is {_shown(value)}; expected {expected}", hint=hint)
        self.field = field
        self.value = value
        self.expected = expected


class DataError(ReplankError):
    """A data file or a data set cannot be read as the examples of the task."""

    http_status = 422


class ArtifactError(ReplankError):
    """A folder is no artifact, or an artifact is damaged or of an unknown schema."""


class ModelError(ReplankError):
    """A model cannot be loaded or is of a kind that replank does not handle."""


class HubError(ReplankError):
    """The Hugging Face hub cannot be reached or does not have what was asked for."""

    http_status = 502


class ProviderError(ReplankError):
    """The execution provider asked for cannot run this model on this machine."""


class IncompatibleModelError(ProviderError):
    """The execution provider cannot run this model on any machine."""


class MissingExtraError(ReplankError):
    """A package of an optional extra is not installed."""


class TrainingError(ReplankError):
    """Training cannot go on: a diverged loss, or checkpoints of another run."""


class QualityGateError(ReplankError):
    """The numbers were computed and are outside the tolerance."""

    exit_code = 3


class OverloadedError(ReplankError):
    """The server's queue is full.

    :param retry_after: seconds until there will be room, as far as can be told; at least 1.
    """

    http_status = 429

    def __init__(self, message: str, *, hint: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class NotReadyError(ReplankError):
    """The server is starting, draining, or has lost its engine."""

    http_status = 503


class DeadlineError(ReplankError):
    """A request waited longer than its deadline."""

    http_status = 504


class NotFoundError(ReplankError):
    """A request for a model that is not loaded."""

    http_status = 404


class TooLargeError(ReplankError):
    """A request body, or the number of its texts, is above the server's limit."""

    http_status = 413


def _shown(value: object) -> str:
    """A value as a person would type it."""
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_shown, value)) or "empty"
    return str(value) if value != "" else "empty"
