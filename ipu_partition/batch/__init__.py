"""Many models to folders that are ready for the Hub: for pods of several sizes, in parallel, resumable."""

from __future__ import annotations

from .engine import Engine
from .entries import Entry, of_catalogue, read_entries
from .run import Batch, batch
from .summary import SUMMARY_NAME, ModeResult, Result, Summary

__all__ = [
    "SUMMARY_NAME",
    "Batch",
    "Engine",
    "Entry",
    "ModeResult",
    "Result",
    "Summary",
    "batch",
    "of_catalogue",
    "read_entries",
]
