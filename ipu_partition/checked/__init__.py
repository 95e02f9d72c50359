"""Predicting a configuration that somebody else wrote, by the ruler that plans are measured with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from ..api import Opened, document, open_model
from ..devices import ipus_only
from ..errors import UsageError
from ..families import FamilyRule, rule_for
from ..handwritten import Source, read, side
from ..plan import Finding, PartitionPlan
from ..workload import Mode
from .ask import CheckOptions, base_request, checked_options
from .predict import CheckedMode, predicted, solved_as_asked

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

__all__ = ["CheckOptions", "Checked", "CheckedMode", "check", "checked", "solved_as_asked"]


def check(
    model: str | os.PathLike[str] | PretrainedConfig | nn.Module,
    ipu_config: Source,
    *,
    progress: Callable[[str], None] | None = None,
    **options: Unpack[CheckOptions],
) -> PartitionPlan:
    """What `ipu_config` does with `model`: memory and rate of the training and of the inference side.

    `ipu_config` is an `ipu_config.json`, a folder with one, its contents, or an `IPUConfig`. The options are those of
    :func:`ipu_partition.partition` that the file does not say; `replicas` and `gradient_accumulation` are taken
    instead of the file's, as IPUTrainer's arguments are (its n_ipu gives each mode n_ipu / IPUs replicas), and `pod`
    chooses an entry where values are tables by machine.

    The plan's `findings` say what is wrong with the file. A mode whose side of the file contradicts itself or the
    model is left out of the plan. Raises :class:`UsageError` and :class:`TraceError`.
    """
    return checked(model, ipu_config, progress, options).plan


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a file and a model."""

    opened: Opened
    modes: tuple[CheckedMode, ...]
    plan: PartitionPlan


def checked(
    model: object, ipu_config: Source, progress: Callable[[str], None] | None, options: CheckOptions
) -> Checked:
    """As :func:`check`, with what was found on the way."""
    checked_options(options)
    hand = read(ipu_config, options.get("pod"))
    base = base_request(hand, options)
    ipus_only(base, "A configuration file")
    opened = open_model(model, dict.fromkeys(base.modes, base), progress)
    rule = _rule(opened)
    sides = {mode: side(hand, mode, options.get("replicas")) for mode in Mode}
    modes = tuple(predicted(opened, rule, base, sides, mode) for mode in opened.modes)
    plans = {one.prepared.mode: one.plan for one in modes if one.plan is not None}
    findings = _merged([*hand.findings, *(finding for one in modes for finding in one.findings)])
    plan = document(opened, [one.prepared for one in modes], plans, hand.origin, findings)
    return Checked(opened, modes, plan)


def _rule(opened: Opened) -> FamilyRule:
    rule = rule_for(opened.spec.architecture)
    if rule is None:
        raise UsageError(
            f"optimum-graphcore 0.7.1 has no pipelined class for {opened.spec.architecture}, so an ipu_config.json "
            "says nothing about it. Expected one of its classes; try another task."
        )
    return rule


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """What is the same in both modes is said once, of both; what is fatal comes first."""
    modes: dict[tuple[str, str, bool], list[Finding]] = {}
    for finding in findings:
        modes.setdefault((finding.field, finding.text, finding.fatal), []).append(finding)
    once = [same[0] if len(same) == 1 else same[0].model_copy(update={"mode": None}) for same in modes.values()]
    return sorted(once, key=lambda finding: not finding.fatal)
