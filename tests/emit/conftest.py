from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from ipu_partition.plan import PartitionPlan
from ipu_partition.structure import structure_of

HERE = Path(__file__).parent
RUNTIME = "ipu_partition.emit.runtime_template"


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def plans() -> ModuleType:
    """The plans made by hand."""
    return load(HERE / "plans.py", "hand_made_plans")


@pytest.fixture
def golden() -> Path:
    return HERE / "golden"


@pytest.fixture
def standin() -> Iterator[ModuleType]:
    """`poptorch`, as long as the test runs."""
    from ipu_partition import emit
    from ipu_partition.verify import poptorch_standin

    poptorch_standin.install()
    yield poptorch_standin
    poptorch_standin.uninstall()
    sys.modules.pop(RUNTIME, None)
    vars(emit).pop("runtime_template", None)


@pytest.fixture
def generated(standin: ModuleType, tmp_path: Path) -> Callable[[PartitionPlan], Any]:
    """The module that the generated source of a plan is."""
    from ipu_partition.emit.python_source import python_source

    def module(plan: PartitionPlan) -> Any:
        path = tmp_path / "generated_parallelize.py"
        path.write_text(python_source(plan), encoding="ascii")
        return load(path, "generated_parallelize")

    return module


class Layer(torch.nn.Module):
    """Gives a tuple, as transformers layers do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = torch.nn.Linear(width, width)

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> tuple[torch.Tensor, None]:
        x = self.dense(x).tanh()
        return (x if bias is None else x + bias.sum()), None


class Encoder(torch.nn.Module):
    """Every layer reads one weight of the encoder, as in DeBERTa."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.relative = torch.nn.Embedding(3, width)
        self.layer = torch.nn.ModuleList(Layer(width) for _ in range(layers))

    def get_rel_embedding(self) -> torch.Tensor | None:
        return self.relative.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = self.get_rel_embedding()
        for layer in self.layer:
            x = layer(x, bias)[0]
        return x


class Tiny(torch.nn.Module):
    """An embedding, an encoder and a head tied to the embedding."""

    def __init__(self, width: int = 4, layers: int = 4) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(7, width)
        self.encoder = Encoder(width, layers)
        self.head = torch.nn.Linear(width, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        head: torch.Tensor = self.head(self.encoder(self.embed(ids)))
        return head


@pytest.fixture
def tiny() -> Tiny:
    torch.manual_seed(0)
    return Tiny()


@pytest.fixture
def tiny_plan(plans: ModuleType) -> Callable[..., PartitionPlan]:
    """Tiny on two IPUs, both modes; `first` replaces the blocks, keyword arguments change the training part."""

    def make(first: list[dict[str, Any]] | None = None, **changes: Any) -> PartitionPlan:
        block = plans.block
        blocks = first or [
            block("embed", 0),
            block("encoder", 0),
            *(block(f"layers.{i}", i // 2, f"layer {i}", (f"encoder.layer.{i}",)) for i in range(4)),
            block("head", 0),
        ]
        adapter = {"kind": "weight-as-activation", "module": "encoder", "method": "get_rel_embedding"}
        checkpoints = [{"module": f"encoder.layer.{i}", "alternatives": []} for i in range(4)]
        both = {"adapters": [adapter], "checkpoints": checkpoints, "layers_per_ipu": [2, 2]}
        training = {**both, **changes}
        made: PartitionPlan = plans.plan(
            plans.mode_plan(plans.workload("training", 2), blocks, **training),
            plans.mode_plan(plans.workload("inference", 2), blocks, **both),
            model={"fingerprint": structure_of(Tiny())},
        )
        return made

    return make
