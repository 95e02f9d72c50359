"""What was proved of a plan by running it. Bytes are of one micro-batch in the types of the plan; differences are
those of float32 on the CPU, rounded to two digits. No times and no dates: the same proof gives the same document."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from .document import Count, Document, Flag, Number, Positive, canonical_json, digest
from .plan_parts import ModeName

DIGITS = 2
"""Of a measured difference: further ones depend on the number of threads."""
PROOFS = ("placement", "equivalence", "peak")
"""The fields of a `Verification`, in the order in which they are shown."""


def figure(value: object) -> object:
    """A float rounded to two digits, None where it is NaN or infinite; anything else as it is."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS - 1}e}") if math.isfinite(value) else None


Figure = Annotated[Number | None, BeforeValidator(figure)]
"""A measured float; None: not a finite number."""
Said = Annotated[str, Field(min_length=1)]
Seal = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class Proof(Document):
    """One proof of one mode; a failed one names the first difference in words."""

    passed: Flag
    difference: Said | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Proof:
        problem = self._problem()
        if self.passed and self.difference is not None:
            problem = "a proof that passed has no difference"
        if not self.passed and self.difference is None:
            problem = "a proof that failed names its first difference"
        if problem is not None:
            raise ValueError(problem)
        return self

    def _problem(self) -> str | None:
        return None


class Placed(Proof):
    """The annotated model was run: where its ops and parameters are."""

    ops: Count
    """That were executed."""
    matched: Count
    """Of them, on the IPU and the stage that the plan says."""
    parameters: Count
    """That are on one IPU."""
    stages: Count
    """That were begun, in order, none of them empty."""

    def _problem(self) -> str | None:
        if self.matched > self.ops or (self.passed and not 0 < self.matched == self.ops):
            return f"passed is {self.passed} with {self.matched} of {self.ops} ops in their place"
        return None


class Equivalent(Proof):
    """The model was run stage by stage and whole, with the same random weights: what came out."""

    layers: Literal["all"] | dict[str, tuple[Positive, Positive]]
    """List of layers: how many were kept, of how many; "all": the model was run at full size."""
    outputs: Count
    """Tensors compared, with the loss in training."""
    gradients: Count
    """Of parameters, compared; 0 in inference."""
    max_absolute: Figure
    """The largest difference of two elements."""
    max_relative: Figure
    """The largest difference of two elements, in the units of the largest element of its tensor."""
    tolerance: Number
    """The most that a difference may be."""
    boundary_tensors: Count
    """That crossed from stage to stage, once for every stage they crossed to."""
    boundary_bytes: Count
    """Their bytes, as they were when it ran."""
    planned_bytes: Count
    """Their bytes, as the plan counts them."""
    notes: list[str] = Field(default_factory=list)
    """What else is to be known of the run."""

    def _problem(self) -> str | None:
        if isinstance(self.layers, dict) and any(kept > whole for kept, whole in self.layers.values()):
            return "more layers were kept than there are"
        if not self.passed:
            return None
        if self.outputs == 0:
            return "passed is True and no output was compared"
        if self.boundary_bytes != self.planned_bytes:
            return "passed is True and other bytes crossed than are planned"
        if self.max_absolute is None or self.max_relative is None:
            return "passed is True and a difference is not a finite number"
        return None


class PeakIpu(Document):
    """The bytes of one IPU, as they were on the CPU and as the plan has them."""

    ipu: Count
    saved_bytes: Count
    """Kept for the backward pass of one micro-batch."""
    planned_saved_bytes: Count
    stash_bytes: Count
    """Of all micro-batches in flight."""
    planned_stash_bytes: Count
    received_bytes: Count
    """Of boundary tensors that came from other IPUs."""
    planned_received_bytes: Count


class Peaked(Proof):
    """Bytes that were saved and exchanged when it ran, beside those of the plan's memory."""

    ipus: list[PeakIpu]
    explained: dict[str, Count] = Field(default_factory=dict)
    """Op, and why: bytes that PyTorch keeps and PopART does not."""

    def _problem(self) -> str | None:
        if [row.ipu for row in self.ipus] != sorted({row.ipu for row in self.ipus}):
            return "the IPUs are not in order, each once"
        return "passed is True and no IPU was measured" if self.passed and not self.ipus else None


class Verification(Document):
    """The proofs of one mode; None: not made, as there was nothing to run."""

    placement: Placed | None = None
    equivalence: Equivalent | None = None
    peak: Peaked | None = None

    @model_validator(mode="after")
    def _some(self) -> Verification:
        if not self.proofs():
            raise ValueError("nothing was proved or refuted")
        return self

    def proofs(self) -> dict[str, Proof]:
        """Those that were made, by name, in the order of `PROOFS`."""
        found: dict[str, Proof | None] = {name: getattr(self, name) for name in PROOFS}
        return {name: proof for name, proof in found.items() if proof is not None}

    @property
    def passed(self) -> bool:
        return all(proof.passed for proof in self.proofs().values())

    @property
    def first_difference(self) -> str | None:
        """With the proof that found it; None where all passed."""
        failed = ((name, proof.difference) for name, proof in self.proofs().items() if not proof.passed)
        return next((f"{name}: {difference}" for name, difference in failed), None)


class Verified(Document):
    """The proofs of a plan, sealed for that plan."""

    training: Verification | None = None
    inference: Verification | None = None
    torch: str
    """Version that ran the proofs."""
    seal: Seal
    """Of all else here and the fingerprint of the plan: proofs hold of one plan only."""

    @model_validator(mode="after")
    def _some(self) -> Verified:
        if not self.modes():
            raise ValueError("no mode was verified")
        return self

    @classmethod
    def of(cls, fingerprint: str, modes: dict[ModeName, Verification], torch: str) -> Verified:
        """The proofs `modes` of the plan with that fingerprint, sealed."""
        draft = cls(**modes, torch=torch, seal="0" * 16)
        return draft.model_copy(update={"seal": draft.seal_for(fingerprint)})

    def seal_for(self, fingerprint: str) -> str:
        """What `seal` is where this content belongs to the plan with that fingerprint."""
        content = self.model_dump(mode="json", exclude={"seal"})
        return digest(canonical_json({"plan": fingerprint, "verified": content}))

    def modes(self) -> dict[ModeName, Verification]:
        """The modes that were verified, training first."""
        found: dict[ModeName, Verification | None] = {"training": self.training, "inference": self.inference}
        return {name: proofs for name, proofs in found.items() if proofs is not None}

    @property
    def passed(self) -> bool:
        return all(proofs.passed for proofs in self.modes().values())

    @property
    def first_difference(self) -> str | None:
        """With the mode and the proof that found it; None where all passed."""
        found = ((name, proofs.first_difference) for name, proofs in self.modes().items())
        return next((f"{name}, {difference}" for name, difference in found if difference is not None), None)
