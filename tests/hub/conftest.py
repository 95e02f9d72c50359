from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from .standin import TOKEN, Hub, started

PLANS = Path(__file__).parent.parent / "emit" / "plans.py"


@pytest.fixture(scope="session")
def plans() -> ModuleType:
    """The plans made by hand."""
    spec = importlib.util.spec_from_file_location("hand_made_plans_for_hub", PLANS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Hub, whatever the environment says, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub on this machine, that huggingface_hub talks to, with a token and an empty cache."""
    from huggingface_hub import close_session, constants

    made, server = started()
    before = constants.ENDPOINT
    for name in ("HUGGINGFACE_CO_URL_TEMPLATE", "ENDPOINT"):
        monkeypatch.setattr(constants, name, getattr(constants, name).replace(before, made.url))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield made
    close_session()
    server.shutdown()
    server.server_close()
