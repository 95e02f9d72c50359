"""Values of command-line options that argparse does not read: each text becomes a keyword of `partition`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .errors import UsageError


def attached(arguments: Sequence[str]) -> list[str]:
    """`--layers -1,3` as `--layers=-1,3`: argparse takes a list that begins with a minus for an option."""
    found: list[str] = []
    for argument in arguments:
        if found and found[-1] == "--layers" and argument[:1] == "-" and argument[1:2].isdigit():
            found[-1] = f"--layers={argument}"
        else:
            found.append(argument)
    return found


def fields(items: Sequence[str] | None) -> dict[str, object] | None:
    """`--config`: KEY=VALUE, the values as text."""
    if not items:
        return None
    wrong = [item for item in items if not item.partition("=")[1] or not item.partition("=")[0].strip()]
    if wrong:
        raise UsageError(f"--config got {wrong[0]!r}, expected KEY=VALUE such as num_hidden_layers=6.")
    return {key.strip(): value for key, _, value in (item.partition("=") for item in items)}


def counts(option: str) -> Callable[[str | None], tuple[int, ...] | None]:
    """How `option` is read: N,N,..."""

    def read(text: str | None) -> tuple[int, ...] | None:
        try:
            return None if text is None else tuple(int(part) for part in text.split(","))
        except ValueError:
            raise UsageError(
                f"{option} got {text!r}, expected one number for each IPU such as 3,7,7,7 or 3,-1."
            ) from None

    return read


def proportions(text: str) -> float | tuple[float, ...]:
    """`--matmul-proportion`: X, or X,X,..."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--matmul-proportion got {text!r}, expected a number such as 0.2, or one for each IPU such as 0.15,0.25."
        ) from None
    return values if len(values) > 1 else values[0]


def homes(items: Sequence[str] | None) -> dict[str, int] | None:
    """`--pin`: MODULE=IPU, each module once or with the same IPU."""
    found: dict[str, int] = {}
    for item in items or ():
        module, ipu = _pin(item)
        if found.setdefault(module, ipu) != ipu:
            raise UsageError(f"--pin {module}={found[module]} and --pin {item} contradict each other. Leave one out.")
    return found or None


def _pin(item: str) -> tuple[str, int]:
    module, _, ipu = (part.strip() for part in item.rpartition("="))
    try:
        if module:
            return module, int(ipu)
    except ValueError:
        pass
    raise UsageError(f"--pin got {item!r}, expected MODULE=IPU such as lm_head=0.")
