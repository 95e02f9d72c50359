from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def plans() -> ModuleType:
    """The plans made by hand."""
    path = Path(__file__).parents[1] / "emit" / "plans.py"
    spec = importlib.util.spec_from_file_location("hand_made_plans", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
