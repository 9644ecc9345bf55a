"""Models under attack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from replank.api.sources import ModelLike, own_data, source_of
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import Source
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import Device
from replank.system.errors import UsageError

if TYPE_CHECKING:
    from replank.robustness.config import AttackConfig
    from replank.robustness.result import AttackResult


def attack(
    models: ModelLike | Sequence[ModelLike],
    masked_lm: ModelLike,
    config: AttackConfig | None = None,
    *,
    data: DataConfig | None = None,
    split: str | None = None,
    similarity_model: ModelLike | None = None,
    out: str | Path = "attack.json",
    device: Device | Auto = "cpu",
    threads: int | None = None,
    force: bool = False,
) -> AttackResult:
    """Attack classifiers by BERT-Attack, all with the same texts, and tell how often fitting words fool them.

    >>> found = replank.attack(["successor", "int8"], "masked-lm", replank.Attack(rows=8, candidates=4), data=data)
    >>> [victim.measures.rows for victim in found.victims]
    [8, 8]

    Interrupted, the same call goes on behind the texts that are done.

    :param models: one or several classifiers, torch or ONNX.
    :param masked_lm: any masked language model; its vocabulary may be another than the models'.
    :param data: of a model that was made for a GLUE data set, that data set by default.
    :param split: the held-out one by default, ``test`` if it has labels, else ``dev``.
    :param similarity_model: gives vectors, by which each text is compared with what it was.
    :param out: the file of the result.
    :param device: of the models under attack.
    :param force: replace a file that lies there.
    :raises ModelError: a model is no classifier of whole texts, or ``masked_lm`` is no masked language model.
    """
    from replank.robustness.attackers import Attackers
    from replank.robustness.config import AttackConfig
    from replank.robustness.run import attack as run

    victims = [models] if isinstance(models, (str, Path, Artifact, Source)) else models
    if not victims:
        raise UsageError("no model to attack is given")
    sources = [source_of(victim) for victim in victims]
    return run(
        sources,
        Attackers(
            masked_lm=source_of(masked_lm),
            similarity=None if similarity_model is None else source_of(similarity_model),
        ),
        config or AttackConfig(),
        data or own_data(sources[0]),
        out=Path(out),
        split=split,
        device=device,
        threads=threads,
        force=force,
    )
