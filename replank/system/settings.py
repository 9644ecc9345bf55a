"""Settings: fields of a configuration that a person may choose, each with its help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def setting(
    default: Any = MISSING,
    help: str = "",  # noqa: A002 - the word that every reader of command lines knows
    *,
    default_factory: Callable[[], Any] | Any = MISSING,
    variants: Mapping[str, type] | None = None,
    flag: str | None = None,
    choices: tuple[str, ...] | None = None,
    has_commas: bool = False,
    is_identity: bool = True,
) -> Any:
    """A dataclass field with the metadata that a command line and the documentation are made from.

    :param help: one or two sentences; a choice of values comes from the field's ``Literal`` type.
    :param variants: of a field that is itself a configuration: its possible types by name.
    :param choices: the possible values, or elements of a tuple, where no ``Literal`` lists them.
    :param has_commas: of a tuple of texts: on a command line, one value with commas between them, or a file of them.
    :param is_identity: ``False`` of a setting that changes nothing about what is made, such as where a run is told of:
        manifests and checkpoints do not know it.
    :param flag: the name of the option where it is not the field's own, such as ``"batch-size"``.
    """
    metadata = {
        "help": help,
        "variants": variants,
        "flag": flag,
        "choices": choices,
        "has_commas": has_commas,
        "is_identity": is_identity,
    }
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def settings_of(config: type[DataclassInstance]) -> tuple[Field[Any], ...]:
    """The fields of a configuration that have a help text, in their order."""
    return tuple(entry for entry in fields(config) if entry.metadata.get("help"))
