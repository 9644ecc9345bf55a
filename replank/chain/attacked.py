"""The attack at the end of a chain: its models side by side, what they lose kept in their artifacts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.source import Source, open_source
from replank.robustness.attackers import Attackers, require_masked_lm
from replank.robustness.gate import AttackPlan, is_of, record
from replank.robustness.result import ATTACK, AttackResult, read_attack
from replank.robustness.run import attack

_log = logging.getLogger(__name__)


def attack_models(
    victims: Sequence[Source], out: Path, plan: AttackPlan, data_config: DataConfig, data: Dataset
) -> AttackResult:
    """Attack the models of a chain, unless that was done before, and record it in their artifacts.

    :param out: the chain's folder, which gets ``attack.json``.
    """
    masked_lm, file = masked_lm_of(plan), out / ATTACK
    digest = data.split(data.held_out).digest
    if file.is_file() and is_of(result := read_attack(file), victims, masked_lm, plan.config, digest):
        _log.info("attack: done before")
    else:
        attackers = Attackers(masked_lm=masked_lm)
        result = attack(victims, attackers, plan.config, data_config, out=file, split=data.held_out, force=True)
    record(result, victims)
    return result


def masked_lm_of(plan: AttackPlan) -> Source:
    """The masked LM, which is looked at before any stage runs.

    :raises ModelError: it is none.
    """
    masked_lm = open_source(plan.masked_lm)
    require_masked_lm(masked_lm)
    return masked_lm
