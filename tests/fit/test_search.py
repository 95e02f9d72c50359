"""The search for the cheapest set of changes, on made-up ladders."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from ipu_partition.fit.search import MOST_TRIALS, Rungs, cheapest

Ladders = tuple[list[list[int]], list[list[float]], int]


@st.composite
def ladders(draw: st.DrawFn) -> Ladders:
    """What each rung saves, ascending, what it loses, ascending, and what must be saved."""
    heights = draw(st.lists(st.integers(1, 2), min_size=1, max_size=3))
    saved = [sorted(draw(st.lists(st.integers(0, 9), min_size=h, max_size=h))) for h in heights]
    lost = [sorted(draw(st.lists(st.integers(0, 30).map(lambda n: n / 100), min_size=h, max_size=h))) for h in heights]
    return saved, lost, draw(st.integers(0, 20))


@given(ladders())
@settings(max_examples=300, deadline=None)
def test_the_cheapest_of_all_sets_is_found_where_promises_hold(made: Ladders) -> None:
    saved, lost, need = made

    def fits(rungs: Rungs) -> bool:
        return sum([0, *row][r] for row, r in zip(saved, rungs, strict=True)) >= need

    def loss(rungs: Rungs) -> float:
        return round(sum([0.0, *row][r] for row, r in zip(lost, rungs, strict=True)), 6)

    heights = [len(row) for row in saved]
    everything = list(product(*(range(h + 1) for h in heights)))
    assert len(everything) <= MOST_TRIALS
    fitting = [rungs for rungs in everything if fits(rungs)]
    found = cheapest(heights, fits, loss, loss)
    if not fitting:
        assert found is None
        return
    assert found is not None
    assert fits(found)
    assert loss(found) == min(map(loss, fitting))
    lower = [(*found[:i], r, *found[i + 1 :]) for i, rung in enumerate(found) for r in range(rung)]
    assert not any(fits(rungs) for rungs in lower)


def test_nothing_is_changed_where_nothing_must_be() -> None:
    assert cheapest([1, 2], lambda _: True, lambda r: -sum(r), lambda _: 0.0) == (0, 0)


def test_the_top_decides_first() -> None:
    asked = []

    def fits(rungs: Rungs) -> bool:
        asked.append(rungs)
        return False

    assert cheapest([1, 4, 2], fits, sum, sum) is None
    assert asked == [(1, 4, 2)]
