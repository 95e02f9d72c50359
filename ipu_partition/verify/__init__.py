"""Proofs of a plan by running it, with no IPU: where ops land, what comes out, how many bytes are kept and exchanged.

Importing this room imports neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..progress import Progress, silent
from ..workload import Mode

if TYPE_CHECKING:
    import torch

    from ..plan import PartitionPlan
    from ..plan_parts import ModeName
    from ..reopen import Reopened
    from ..verified_parts import Verification, Verified

SIZES = ("auto", "full", "small")
"""How many layers are run: all of them where memory allows, all of them, or as few as the stages need."""


@dataclass(frozen=True, slots=True)
class VerifiedPlan:
    """What came of verifying a plan."""

    plan: PartitionPlan
    """The plan with its proofs in `verified`; those of a mode that was not verified now are kept."""
    proofs: Mapping[ModeName, Verification]
    """Of the modes that were verified now."""

    @property
    def training(self) -> Verification | None:
        return self.proofs.get("training")

    @property
    def inference(self) -> Verification | None:
        return self.proofs.get("inference")

    @property
    def passed(self) -> bool:
        return all(proofs.passed for proofs in self.proofs.values())

    @property
    def difference(self) -> str | None:
        """The first, with the mode and the proof that found it; None where all passed."""
        found = ((name, proofs.first_difference) for name, proofs in self.proofs.items())
        return next((f"{name}, {difference}" for name, difference in found if difference is not None), None)


def verify(
    plan: PartitionPlan,
    model: object = None,
    *,
    modes: Sequence[str | Mode] | None = None,
    size: str = "auto",
    progress: Progress | None = None,
    example_inputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor] | None = None,
    loss: Callable[..., Any] | None = None,
    trust_remote_code: bool = False,
) -> VerifiedPlan:
    """Run `plan` on the CPU with random weights and prove that it computes what its model computes.

    `model` is what the plan was made of; None: it is made again from what the plan says, which is enough unless it was
    a module or a configuration object. `modes`: some of those that are planned; None: all. `size` is one of `SIZES`.
    `example_inputs`, `loss` and `trust_remote_code` are those of :func:`ipu_partition.partition`.

    A proof that fails is an answer, not an error. Raises :class:`UsageError` and :class:`TraceError`.
    """
    wanted = _modes(plan, modes)
    if size not in SIZES:
        raise UsageError(f"size is {size!r}, expected one of {', '.join(SIZES)}.")
    from ..reopen import reopen

    report = progress or silent
    with _generator_kept():
        reopened = reopen(
            plan, model, report, example_inputs=example_inputs, loss=loss, trust_remote_code=trust_remote_code
        )
        proofs = {name: _proved(reopened, mode, size, report) for name, mode in wanted.items()}
    return VerifiedPlan(with_proofs(plan, proofs), proofs)


def with_proofs(plan: PartitionPlan, proofs: Mapping[ModeName, Verification]) -> PartitionPlan:
    """`plan` with these in `verified`, beside what the same torch has proved of other modes before."""
    from importlib.metadata import version

    from ..verified_parts import Verified

    torch = version("torch")
    before = plan.verified.modes() if plan.verified is not None and plan.verified.torch == torch else {}
    verified: Verified = Verified.of(plan.fingerprint(), {**before, **proofs}, torch)
    return plan.model_copy(update={"verified": verified})


def _proved(reopened: Reopened, mode: Mode, size: str, progress: Progress) -> Verification:
    """Where the plan does not even name the units of its model, that its placement fails is all that can be said. What
    is kept is measured against the memory of IPUs, not of the devices of a machine file."""
    from ..verified_parts import Verification
    from .equivalence import equivalent
    from .peak import peaked
    from .placement import placed

    placement = placed(reopened, mode, progress)
    try:
        equivalence, executed = equivalent(reopened, mode, size=size)
    except UsageError:
        if placement is None or placement.passed:
            raise
        return Verification(placement=placement)
    if reopened.plan.machine.devices is not None:
        return Verification(placement=placement, equivalence=equivalence)
    progress(f"comparing what {reopened.plan.model.name} keeps and exchanges ({mode.value})")
    return Verification(placement=placement, equivalence=equivalence, peak=peaked(executed))


def _modes(plan: PartitionPlan, asked: Sequence[str | Mode] | None) -> dict[ModeName, Mode]:
    """Those asked for, or all that have a cut. UsageError where one has none, or is not planned."""
    planned = plan.modes()
    cut = [name for name, part in planned.items() if part.stages]
    if asked is not None and (not isinstance(asked, Sequence) or not asked):
        raise UsageError(f"modes is {asked!r}, expected some of {' and '.join(planned)}, or None for all.")
    names = cut if asked is None else [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in list(Mode):
            raise UsageError(f"{name!r} is no mode; expected {' or '.join(Mode)}.")
        plan.mode(Mode(name).value)
    if not names or not set(names) <= set(cut):
        uncut = next((name for name in names or planned if name not in cut), "any mode")
        raise UsageError(
            f"The plan of {plan.model.name!r} has no cut for {uncut}: nothing was found that fits, so there is nothing "
            "to verify. Plan more IPUs, or add --fit."
        )
    return {mode.value: mode for mode in Mode if mode in names}


@contextmanager
def _generator_kept() -> Iterator[None]:
    """The random state of the process is as it was before."""
    import torch

    with torch.random.fork_rng(devices=[]):
        yield
