"""The price of program order in words."""

from __future__ import annotations

import math

from .price import Priced

LEAST = 1e-4
"""Share of the time below which no order is worth another."""


def share(value: float) -> str:
    """Percent; what is more than nothing never reads as nothing."""
    if 0 < value < LEAST:
        return f"less than {100 * LEAST:.2g} %"
    return f"{100 * value:.1f} %" if value == 0 or value >= 0.0005 else f"{100 * value:.1g} %"


def in_words(found: Priced) -> str:
    """As in 'keeping to program order costs 3.1 % (at most 3.4 %)'."""
    if found.best is None:
        return "nothing that fits was found" if found.lower_bound_us < math.inf else "nothing fits in any order, proven"
    if found.program is None:
        return "nothing fits in program order, but another order does"
    loss, most = found.loss or 0.0, found.most_loss
    costs = f"keeping to program order costs {share(loss) if loss else 'nothing'}"
    if found.proved:
        return f"{costs}, proven"
    known = f"at most {share(most)}" if most is not None and math.isfinite(most) else "nothing is proved"
    return f"{costs} that was found ({known})" if not loss else f"{costs} ({known})"
