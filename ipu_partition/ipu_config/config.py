"""The configuration itself: strict where it is made, lenient where others' files are read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr, ValidationError, ValidationInfo, model_validator

from ..document import canonical_json, describe, few
from ..errors import UsageError
from ..plan_parts import Finding
from .fields import CONFIG_NAME, MODES, WILDCARD, Fields, filled
from .rules import doubts, least_accumulation, mode_problems, raw_problems, strict_problems

if TYPE_CHECKING:
    from ..plan import PartitionPlan

_WHAT = "an ipu_config.json of optimum-graphcore 0.7"
_PREDICTED = " Predicted with"
"""So begins what `check` does where this refuses."""
_READ = {"read": True}
"""The context of what is read, not made."""


class IPUConfigError(UsageError, ValueError):
    """Values that are no configuration: optimum-graphcore refuses them, fails on them later or does something else."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a configuration was read: no part of what it says."""

    notes: tuple[Finding, ...] = field(default=(), compare=False)


class IPUConfig(Fields):
    """A configuration that optimum-graphcore 0.7.1 accepts, and that does there what it says.

    The fields, their defaults and the rules between them are those of its `IPUConfig`; so is :meth:`to_dict`.
    What that accepts and should not is refused with :class:`IPUConfigError`, which is a UsageError and a ValueError:
    unknown keys, numbers of the wrong kind, proportions above 1, lists of another length than there are IPUs,
    accumulation that is too little for the pipeline. Files that others wrote are read more leniently, see
    :meth:`from_dict`.
    """

    _reading: _Reading = PrivateAttr(default_factory=_Reading)

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise IPUConfigError(f"These values are not {_WHAT}: {_said(error)}.") from error

    # Else pydantic calls it for what it validates, and the context of a reading is lost.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        if problems := list(raw_problems(data)):
            raise ValueError(few(problems))
        return filled(data)

    @model_validator(mode="after")
    def _coherent(self, info: ValidationInfo) -> IPUConfig:
        problems = [text for mode in MODES for _, text in mode_problems(self, mode)]
        problems += strict_problems(self)
        if not problems:
            problems = [doubt.text for doubt in doubts(self) if doubt.fatal or info.context != _READ]
        if problems:
            raise ValueError(few(list(dict.fromkeys(problems))))
        return self

    @property
    def least_accumulation(self) -> int:
        """Micro-batches per update that training on these IPUs needs at the least, whatever the model is."""
        return least_accumulation(self)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What was translated when this was read, and what its reader should know. Not compared, never written."""
        return self._reading.notes

    def layers_for(self, count: int, *, inference: bool = False) -> list[int]:
        """Layers on each IPU for a model of `count` layers, wildcards expanded as optimum-graphcore does.

        IPUConfigError where layers would be left over or are missing: the original then puts them elsewhere, or fails
        when the model is parallelised. Source: optimum/graphcore/modeling_utils.py (0.7.1).
        """
        from planners.uniform import layer_counts

        mode = MODES[inference]
        asked, ipus = getattr(self, f"{mode}layers_per_ipu"), getattr(self, f"{mode}ipus_per_replica")
        if type(count) is not int or count < 1:
            raise IPUConfigError(f"The model has {count!r} layers, expected a whole number of at least 1.")
        given = sum(layers for layers in asked if layers != WILDCARD)
        if given > count or (given < count and WILDCARD not in asked):
            raise IPUConfigError(
                f"{mode}layers_per_ipu is {asked}, which places {given} layers, and the model has {count}. "
                f"Even shares would be {layer_counts([WILDCARD], ipus, count)}."
            )
        return layer_counts(asked, ipus, count)

    def to_dict(self) -> dict[str, Any]:
        """Every field, as the original's `to_dict()` has them."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """The same bytes for the same configuration."""
        return canonical_json(self.to_dict())

    def save_pretrained(self, directory: str | Path) -> Path:
        """Write `ipu_config.json` into `directory`; UsageError where that fails."""
        from ..emit.files import write_all

        return write_all(directory, {CONFIG_NAME: self.to_json()})[0]

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], origin: str = "the configuration", *, pod: str | None = None
    ) -> IPUConfig:
        """Read what others wrote, also for earlier releases.

        Read with a note: tables by machine (`pod` chooses the entry), renamed, deprecated and removed keys, keys of a
        model's configuration, factors of 0, whole numbers as proportions and one proportion in a list; all that is
        said in one UserWarning too. Noted in :attr:`notes` alone: accumulation of exactly 1 where the pipeline needs
        more, since it is the default and trainers set it on their command line, and wildcards that one IPU does not
        look at. IPUConfigError for what has no meaning to 0.7.1.
        """
        if not isinstance(data, Mapping):
            raise IPUConfigError(f"{origin} is a {type(data).__name__}, expected a mapping: {_WHAT}.")
        found: list[Finding] = []
        config = cls._as_it_is(data) if pod is None else None
        if config is None:
            config, found = cls._translated(data, origin, pod)
        if found:
            warnings.warn(f"{origin}: {' '.join(note.text for note in found)}", UserWarning, stacklevel=2)
        found += [doubt.model_copy(update={"text": f"{doubt.text}."}) for doubt in doubts(config)]
        config._reading = _Reading(tuple(found))
        return config

    @classmethod
    def _as_it_is(cls, data: Mapping[str, Any]) -> IPUConfig | None:
        """None where something is to be translated or refused."""
        try:
            return cls.model_validate(dict(data), context=_READ)
        except (ValidationError, TypeError):
            return None

    @classmethod
    def _translated(cls, data: Mapping[str, Any], origin: str, pod: str | None) -> tuple[IPUConfig, list[Finding]]:
        from ..handwritten import translated

        try:
            values, found = translated(data, pod)
        except UsageError as error:
            raise IPUConfigError(f"{origin} is not {_WHAT}: {error}") from error
        if fatal := [note.text.partition(_PREDICTED)[0] for note in found if note.fatal]:
            raise IPUConfigError(f"{origin} is not {_WHAT}: {few(fatal)}")
        try:
            return cls.model_validate(values, context=_READ), found
        except ValidationError as error:
            raise IPUConfigError(f"{origin} is not {_WHAT}: {_said(error)}.") from error

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike[str], revision: str | None = None, pod: str | None = None
    ) -> IPUConfig:
        """Read a file, `ipu_config.json` in a folder, or that of a repository on the Hub, as :meth:`from_dict` does.

        `revision` is a branch, tag or commit there; `HF_HUB_OFFLINE` is honoured. UsageError where nothing is found.
        """
        from ..handwritten import contents
        from ..hub import located

        file = located(path, CONFIG_NAME, revision, _WHAT)
        return cls.from_dict(contents(file), str(file), pod=pod)

    @classmethod
    def from_plan(cls, plan: PartitionPlan) -> IPUConfig:
        """What optimum-graphcore needs to run `plan`.

        Training and inference keys are both written. Where only one mode was planned, the other side repeats its
        split, IPUs, replicas and proportions, and optimum loads it; `gradient_accumulation_steps` is then the least
        that training on that split needs. Where `layers_per_ipu` cannot say the plan (or the class ignores it) it
        stays `[-1]` beside the number of IPUs.
        """
        from ..emit.config_values import config_values

        return cls(**config_values(plan))


def _said(error: ValidationError) -> str:
    """What is wrong; of rules between fields, their own words."""
    found = error.errors(include_url=False)
    own = [str(e["ctx"]["error"]) for e in found if e["type"] == "value_error"]
    return "; ".join(own) if len(own) == len(found) else describe(error)
