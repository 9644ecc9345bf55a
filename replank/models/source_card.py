"""What the model card of somebody else's model says that a card of a model made of it must say too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replank.system.files import CARD


@dataclass(frozen=True)
class SourceCard:
    """Facts of a model card.

    :param license: by the hub's identifier, such as ``apache-2.0``; ``other`` has a name and a link.
    :param language: codes, such as ``en``.
    :param datasets: names of the hub that it was trained on.
    """

    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    language: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> SourceCard | None:
        """The facts of a folder's model card; ``None`` if it has none, or none that can be read."""
        values = _front_matter(folder / CARD)
        card = cls(
            license=_text(values.get("license")),
            license_name=_text(values.get("license_name")),
            license_link=_text(values.get("license_link")),
            language=_texts(values.get("language")),
            datasets=_texts(values.get("datasets")),
        )
        return None if card == cls() else card


def _front_matter(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    import yaml
    from huggingface_hub import metadata_load

    try:
        return metadata_load(file) or {}
    except (OSError, ValueError, yaml.YAMLError):
        # A card is for readers: what is wrong with somebody's says nothing of the model.
        return {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: Any) -> tuple[str, ...]:
    """One text or a list of them."""
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str) and each)
