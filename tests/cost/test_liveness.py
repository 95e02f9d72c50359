"""What is alive when, on modules small enough to count by hand. Sizes in values of 2 bytes."""

from __future__ import annotations

import torch
from torch import nn

from ipu_partition.cost import Start, cost_graph
from ipu_partition.cost.graph import UnitCost, Work
from ipu_partition.trace import trace

ROWS, WIDTH = 4, 8
X = 2 * ROWS * WIDTH
"""Bytes of one activation."""


def units(model: nn.Module, *starts: str, training: bool = True) -> tuple[UnitCost, ...]:
    traced = trace(model, (torch.zeros(ROWS, WIDTH),), training=training)
    return cost_graph(traced, [Start(name) for name in starts]).units


def alive(unit: UnitCost, op: str) -> tuple[int, int]:
    (work,) = [w for w in unit.work if w.op == op]
    return work.forward_live_bytes, work.backward_live_bytes


class Scaled(nn.Module):
    """Scales by a number, or by itself."""

    def __init__(self, square: bool) -> None:
        super().__init__()
        self.inner, self.square = nn.Linear(WIDTH, WIDTH), square

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        return y * y if self.square else y * 0.5


def test_a_product_with_a_number_saves_nothing_and_with_itself_its_factor() -> None:
    assert [units(Scaled(square))[0].saved_bytes for square in (False, True)] == [0, X]


def test_inference_frees_what_no_one_reads_any_more() -> None:
    (unit,) = units(nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(5))), training=False)
    assert unit.forward_peak_bytes == 2 * X
    assert {(w.forward_live_bytes, w.backward_live_bytes) for w in unit.work} == {(2 * X, 0)}


def test_training_keeps_what_the_backward_pass_needs_and_frees_it_on_the_way_back() -> None:
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Sigmoid(), nn.Linear(WIDTH, WIDTH), nn.Tanh())
    (unit,) = units(model)
    assert unit.saved_bytes == 2 * X  # both outputs of activations; the input is not the unit's
    assert alive(unit, "tanh") == (4 * X, 5 * X)  # back: input, sigmoid, tanh and two gradients
    assert alive(unit, "sigmoid") == (3 * X, 4 * X)  # back: input, sigmoid and two gradients
    assert unit.backward_peak_bytes == 5 * X


def test_the_gradient_of_a_unit_s_output_is_there_from_the_start_and_of_its_input_until_the_end() -> None:
    first, second = units(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Sigmoid(), nn.Linear(WIDTH, WIDTH)), "0", "2")
    assert alive(second, "linear") == (2 * X, 3 * X)  # back: what came in, and two gradients
    assert alive(first, "sigmoid") == (3 * X, 4 * X)


def test_a_residual_is_alive_across_what_it_skips() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.down(self.up(x))

    (unit,) = units(Residual(), training=False)
    down: Work = unit.work[1]
    assert (down.op, down.forward_live_bytes) == ("linear", 6 * X)  # the input, the wide one, the result
    assert unit.forward_peak_bytes == 6 * X
