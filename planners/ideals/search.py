"""Dynamic programming over downward-closed sets of blocks (*ideals*), which proves what it finds.

Stages in order are the differences of growing ideals. So the least largest load of a plan that ends at an ideal, per
number of devices used of every pool (the *state*), follows from those of the ideals inside it. Ideals are swept in
order of their number of blocks, each extended by every stage that could follow (:mod:`.sweep`).

Most ideals are never met: loads must be less than a limit, so the devices that are left must be able to take the rest
within that limit (:mod:`.needs`). Limits grow from near the proved bound to the value of the best plan known. A sweep
that ends without a plan proves its limit; one with a plan has the best there is.
"""

from __future__ import annotations

from math import inf, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..graph.race import Race

MEMORY_BYTES = 600_000_000
STATES = 2000
"""More would not leave memory for a useful number of ideals."""
SHARES = (0.15, 0.4, 0.4, 0.5)
"""Limits, as shares of the way that is left from the bound to the best plan, where the whole way is too far at once."""
BLOCKS = 5000
"""More would take seconds to prepare, and could not be decided."""
FIRST_SHARE = 0.2
"""Of the time left: what the whole way may take at once."""


def search(race: Race, memory_bytes: int = MEMORY_BYTES) -> None:
    """Until it is solved, or the race is over, or the memory is used up. PlannerError where Numba is not installed."""
    from .reduced import Reduction
    from .sweeping import Sweeping

    if prod(len(pool.devices) + 1 for pool in race.blocks.pools) > STATES or len(race.blocks.members) > BLOCKS:
        return
    reduction = Reduction(race.blocks)
    for limit_us, seconds in _limits(race):
        if race.over:
            return
        ended = Sweeping(race, reduction, limit_us, memory_bytes).run(seconds)
        if not ended and seconds == inf:
            return


def _limits(race: Race) -> Iterator[tuple[float, float]]:
    """What loads must be less than, us, and seconds to try. The last is the value of the best plan; again
    where that is now so much less that numbers were too coarse."""
    from .sweeping import TIE, worst_us

    if race.value_us < inf:
        yield race.value_us * (1 - TIE), FIRST_SHARE * race.seconds_left
    near = min(race.value_us, 2 * race.bound_us)
    for share in SHARES if race.bound_us else ():
        yield race.bound_us + share * (near - race.bound_us), inf
    before = -1.0
    while race.value_us != before:
        before = race.value_us
        yield min(before * (1 - TIE), worst_us(race.blocks)), inf
