"""Smaller inputs, by halves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..request import Request
from ..solve import Solved

LEAST_TOKENS = 16
"""Shorter texts are no longer the user's task."""
LEAST_SECONDS = 1.0


def smaller_batch(solved: Solved, request: Request) -> Iterator[Mapping[str, object]]:
    """Micro-batch sizes down to 1; none where the user gave the inputs."""
    size = solved.workload.micro_batch_size // 2 if request.example_inputs is None else 0
    while size:
        yield {"micro_batch_size": size}
        size //= 2


def shorter(solved: Solved, request: Request) -> Iterator[Mapping[str, object]]:
    """Lengths of text or audio; none where the user gave the inputs, or the model takes neither."""
    if request.example_inputs is not None:
        return
    shapes = solved.prepared.shapes
    seconds = shapes.get("audio_seconds")
    lengths = {n: shapes[n] for n in ("sequence_length", "target_length") if isinstance(shapes.get(n), int)}
    while isinstance(seconds, float | int) and seconds / 2 >= LEAST_SECONDS:
        seconds /= 2
        yield {"audio_seconds": seconds}
    while seconds is None and lengths and max(lengths.values()) // 2 >= LEAST_TOKENS:
        lengths = {name: max(min(LEAST_TOKENS, n), n // 2) for name, n in lengths.items()}
        yield dict(lengths)
