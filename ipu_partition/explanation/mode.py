"""Everything there is to say of one mode."""

from __future__ import annotations

from ..assemble import layers_per_ipu
from ..request import Request
from ..solve import Solved
from .cuts import runner_up, unlimited
from .document import ModeExplanation
from .memory import fullest
from .more import one_more, room
from .obstacles import obstacles
from .subject import Subject
from .time import slowest, us


def explain_mode(request: Request, solved: Solved) -> ModeExplanation:
    """Why `solved`, which answers `request`, cuts where it does. Its planner is asked again, briefly each time."""
    assert solved.evaluation is not None, "a plan has an assignment, or there is none"
    subject = Subject(request, solved, solved.evaluation)
    other, reason = runner_up(subject)
    faster, memory_decides = unlimited(subject)
    return ModeExplanation(
        fits=solved.fits,
        ipus=solved.workload.ipus,
        layers_per_ipu=layers_per_ipu(solved.prepared, solved.assignment, solved.workload.ipus),
        goal="cycle" if solved.workload.pipelined else "latency",
        objective_us=us(subject.evaluation.objective_us),
        slowest=slowest(solved, subject.evaluation),
        fullest=fullest(solved, subject.evaluation),
        memory_decides=memory_decides,
        unlimited=faster,
        runner_up=other,
        no_runner_up=reason,
        one_more=one_more(subject),
        room=room(subject),
        obstacles=obstacles(subject),
    )
