"""Whether an exact planner says what the oracle says."""

from __future__ import annotations

import pytest

from planners import Infeasible, Optimal, Solution


def assert_same(exact: Solution, oracle: Solution) -> None:
    """Every field of the score, and everything that is claimed."""
    assert type(exact) is type(oracle)
    if isinstance(exact, Optimal):
        assert exact.refined
    if isinstance(exact, Infeasible) and isinstance(oracle, Infeasible):
        assert (exact.shortfall_bytes, exact.proved) == (oracle.shortfall_bytes, True)
        assert exact.least_shortfall_bytes == oracle.shortfall_bytes
    if oracle.evaluation is None:
        assert exact.evaluation is None
        return
    assert exact.evaluation is not None
    mine, best = exact.evaluation.key(), oracle.evaluation.key()
    assert mine[0] == pytest.approx(best[0], rel=1e-9)
    assert mine[3] == pytest.approx(best[3], rel=1e-9)
    assert mine[1:3] == best[1:3]
