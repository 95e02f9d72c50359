"""The 14 findings of NIH ChestX-ray14 and their N-hot targets."""

from __future__ import annotations

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
NO_FINDING = "No Finding"


def n_hot(text: str) -> list[float]:
    """`Effusion|Mass` as 14 numbers, 1 for each finding that is there; `No Finding` is all zeros.

    Raises ValueError for a label that is none of the 14, for none at all, and for `No Finding` beside a finding.
    """
    names = text.split("|")
    if names == [NO_FINDING]:
        return [0.0] * len(FINDINGS)
    for name in names:
        if name == NO_FINDING:
            raise ValueError(f"{text!r} says {NO_FINDING!r} beside a finding")
        if name not in FINDINGS:
            raise ValueError(f"{name!r} is no finding; expected {NO_FINDING!r} or some of {', '.join(FINDINGS)}")
    return [float(name in names) for name in FINDINGS]
