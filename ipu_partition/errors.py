"""The few ways a request can fail, each with the exit code of the command line."""

from __future__ import annotations


class PartitionError(Exception):
    """Base of all errors meant for users: what was found, what was expected, what to try."""

    exit_code = 1


class UsageError(PartitionError):
    """The request itself is wrong: an unknown model or task, an impossible count, an unreadable file."""

    exit_code = 2


class TraceError(PartitionError):
    """The model cannot be traced."""

    exit_code = 4


class VerificationError(PartitionError):
    """A proof about a plan failed."""

    exit_code = 5


SAID = 200
"""Characters that are repeated of what somebody else's error says."""


def one_line(text: str, limit: int | None = None) -> str:
    """`text` without line breaks and control characters, cut at `limit` characters."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if limit is None or len(plain) <= limit else plain[: limit - 3] + "..."
