"""The Hub is off, set before anything imports its client; folders and modules to resolve."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder whose config.json holds the given fields, or the given text."""

    def make(content: object = None, /, **fields: Any) -> Path:
        target = tmp_path / "model"
        target.mkdir(exist_ok=True)
        data = content if isinstance(content, bytes) else json.dumps(fields if content is None else content).encode()
        (target / "config.json").write_bytes(data)
        return target

    return make
