"""Plans changed by hand, for tests of what reads them."""

from __future__ import annotations

from typing import Any

from ipu_partition.plan import PartitionPlan, shapes_of


def edited(data: dict[str, Any]) -> PartitionPlan:
    """The plan in a document that was edited, as if it had been written like that."""
    model, basis = data["model"], data.get("basis")
    if basis is not None:
        basis = {**basis, "model": model["fingerprint"], "shapes": shapes_of(model["shapes"])}
    return PartitionPlan.model_validate({k: v for k, v in data.items() if k != "fingerprint"} | {"basis": basis})
