"""Problems for the planners' benchmark: transformers with heavy ends, random chains. Same arguments, same problem."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from planners import Device, Feasible, Problem, Schedule, SharedGroup, Tensor, Unit
from planners.greedy import Greedy

US_PER_FLOP = 1e-8
"""100 TFLOP/s, sustained."""
US_PER_BYTE = 1e-5
"""100 GB/s between devices."""
ROOMY = 2**44
"""More than any problem here needs."""


def transformer(
    layers: int, devices: int, *, width: int = 1024, vocabulary: int = 50_000, tokens: int = 1024, tied: bool = True
) -> Problem:
    """Training of a decoder: embedding, attention and feed-forward of each layer, head and loss: 2 x layers + 3 units.

    The head is tied to the embedding; the loss may follow it home, as only attention and feed-forward are sequential.
    A parameter takes 16 bytes with gradient and optimizer state, one of the table 4. There is a checkpoint after every
    layer, and a mask that every attention reads.
    """
    hidden, heads = tokens * width * 2, width // 64
    table = vocabulary * width
    embedding = _work("embedding", 0, 0, live=hidden)
    attention = _work("attention", 4 * width**2, tokens, live=8 * hidden + 2 * heads * tokens**2)
    forward = _work("feed-forward", 8 * width**2, tokens, live=6 * hidden)
    block = (attention, replace(forward, checkpoint_bytes=hidden))
    head = _timed(_work("head", 0, 0, live=tokens * vocabulary * 2), 2.0 * table * tokens)
    loss = _timed(_work("loss", 0, 0, live=tokens * vocabulary * 2), 20.0 * tokens * vocabulary)
    units = (replace(embedding, checkpoint_bytes=hidden), *block * layers, head, loss)
    named = tuple(replace(unit, name=f"{unit.name} {i}") for i, unit in enumerate(units))
    chain = tuple(Tensor(f"hidden {i}", i, (i + 1,), hidden, hidden) for i in range(2 * layers))
    logits = Tensor("logits", len(units) - 2, (len(units) - 1,), 2 * tokens * vocabulary, 2 * tokens * vocabulary)
    last = Tensor("last hidden", 2 * layers, (len(units) - 2,), hidden, hidden)
    mask = Tensor("mask", None, tuple(range(1, 2 * layers, 2)), tokens**2 // 8)
    return Problem(
        named,
        (Device(ROOMY),) * devices,
        Schedule.TRAINING,
        (*chain, last, logits, mask),
        (SharedGroup("table", (0, len(units) - 2), 4 * table, colocate=True),) if tied else (),
        US_PER_BYTE,
        sequential=frozenset(range(1, 2 * layers + 1)) if tied else frozenset(),
        allow_empty=True,
    )


def _work(name: str, parameters: int, tokens: int, live: int) -> Unit:
    """A unit of so many parameters, each used once per token."""
    unit = Unit(name, 0.0, resident_bytes=16 * parameters, live_bytes=live, transient_bytes=live // 8)
    return _timed(unit, 2.0 * parameters * tokens)


def _timed(unit: Unit, flops: float) -> Unit:
    """The unit with so much forward work, and twice as much backward."""
    return replace(unit, forward_us=flops * US_PER_FLOP + 1.0, backward_us=2 * flops * US_PER_FLOP + 2.0)


def scattered(units: int, devices: int, seed: int, *, spread: float = 1.0, rich: bool = False) -> Problem:
    """A chain with lognormal times and bytes (``spread`` = sigma), unrelated to each other.

    ``rich``: with skip tensors, pinned ends, forbidden cuts and devices of several speeds and sizes.
    """
    rng = random.Random(seed)

    def draw(scale: float) -> int:
        return max(1, round(scale * rng.lognormvariate(0.0, spread)))

    made = tuple(
        Unit(f"u{i}", draw(50), draw(100), draw(2e6), draw(1e6), draw(2e5) * (i % 4 == 3), draw(1e5))
        for i in range(units)
    )
    chain = [Tensor(f"t{i}", i, (i + 1,), draw(1e5), draw(1e5)) for i in range(units - 1)]
    problem = Problem(
        made, (Device(ROOMY),) * devices, Schedule.TRAINING, tuple(chain), (), US_PER_BYTE * 10, allow_empty=True
    )
    return enriched(problem, rng) if rich else problem


def enriched(problem: Problem, rng: random.Random) -> Problem:
    """The problem with skips over up to a tenth of the chain, pinned ends, cuts forbidden and devices that differ."""
    count, devices = len(problem.units), len(problem.devices)
    reach = max(2, count // 10)
    skips = []
    for start in sorted(rng.sample(range(count - reach), max(1, count // 20))):
        size = round(1e4 * rng.lognormvariate(0.0, 1.0))
        skips.append(Tensor(f"skip {start}", start, (start + rng.randint(2, reach),), size, size))
    kinds = [
        replace(d, speed=rng.choice((0.8, 1.0, 1.25)), capacity_bytes=ROOMY * rng.choice((4, 5, 6)) // 5)
        for d in problem.devices
    ]
    return replace(
        problem,
        devices=tuple(kinds),
        tensors=(*problem.tensors, *skips),
        pins=((0, 0), (count - 1, devices - 1)),
        forbidden_cuts=frozenset(rng.sample(range(1, count - 4), count // 10)),
    )


def everything(units: int, devices: int, seed: int, *, tied: bool = True) -> Problem:
    """A rich chain whose second last unit is tied to the first, in which every device in use holds three units."""
    problem = scattered(units, devices, seed, rich=True)
    ties = (SharedGroup("table", (0, units - 2), 10_000_000, colocate=True, update_bytes=100_000),)
    code = SharedGroup("code", tuple(range(1, units, 3)), 500_000, colocate=False)
    return replace(
        problem,
        devices=tuple(replace(d, min_units=3, base_bytes=200_000) for d in problem.devices),
        groups=(*ties, code) if tied else (code,),
        sequential=frozenset(range(1, units - 2)),
        pins=((0, 0), (units // 2, devices // 2), (units - 1, 0)) if tied else ((0, 0), (units // 2, devices // 2)),
        allow_empty=False,
    )


def tight(problem: Problem, slack: float = 1.1) -> Problem:
    """The problem with less memory, in the same proportions: ``slack`` times the least with which filling the devices
    in order succeeds (found to 1 %). ValueError where it never does."""
    if not isinstance(Greedy((100,))(problem), Feasible):
        raise ValueError("filling the devices in order obeys not all constraints, whatever their memory")
    low, high = 0.0, 1.0
    while high - low > 0.01 * high:
        middle = (low + high) / 2 if low else high / 2
        if isinstance(Greedy((100,))(_scaled(problem, middle)), Feasible):
            high = middle
        else:
            low = middle
    return _scaled(problem, high * slack)


def _scaled(problem: Problem, factor: float) -> Problem:
    devices: Sequence[Device] = problem.devices
    scaled = (replace(device, capacity_bytes=int(device.capacity_bytes * factor)) for device in devices)
    return replace(problem, devices=tuple(scaled))
