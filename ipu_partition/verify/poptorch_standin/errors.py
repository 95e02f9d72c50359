"""The one error type of PopTorch."""

from __future__ import annotations


class Error(RuntimeError):
    """`poptorch.Error`."""
