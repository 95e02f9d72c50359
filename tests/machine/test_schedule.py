from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipu_partition.errors import UsageError
from ipu_partition.machine.schedule import (
    accumulation,
    default_accumulation,
    forward_stages,
    inference,
    least_accumulation,
    least_device_iterations,
    pipeline_cycles,
    training,
)
from ipu_partition.workload import Mode, Workload

IN_ORDER = (0, 0, 1, 1, 2, 3)
TIED = (0, 1, 1, 2, 3, 3, 0)


@pytest.mark.parametrize(("ipus", "stages", "need"), [(IN_ORDER, 4, 7), (TIED, 5, 9), ((0, 0), 1, 1), ((1, 2), 3, 5)])
def test_poptorch_s_rule(ipus: tuple[int, ...], stages: int, need: int) -> None:
    """4 IPUs in order: 7; a head back on IPU 0: 9 (graphcore/poptorch, Compiler.cpp). A model that does not begin on
    IPU 0 still has a stage there."""
    assert forward_stages(ipus) == stages
    assert least_accumulation(stages) == need


@given(stages=st.integers(1, 200))
def test_default_is_the_smallest_power_of_two_eight_times_the_need(stages: int) -> None:
    default = default_accumulation(stages)
    assert default & (default - 1) == 0
    assert default // 2 < 8 * least_accumulation(stages) <= default


def test_too_little_accumulation_is_refused_with_both_numbers() -> None:
    with pytest.raises(UsageError, match=r"is 8, .* at least 9"):
        accumulation(Workload(Mode.TRAINING, 4, gradient_accumulation=8), 5)
    assert accumulation(Workload(Mode.TRAINING, 4, gradient_accumulation=9), 5) == 9
    assert accumulation(Workload(Mode.TRAINING, 4), 5) == 128


def test_cycles_are_those_of_popart() -> None:
    """fill P - 1, main G - (P - 1), flush P - 1 (graphcore/popart:docs/notes/transforms/pipelining.md)."""
    assert pipeline_cycles(64, 4) == 6 + (64 - 6) + 6
    assert pipeline_cycles(64, 4, Mode.INFERENCE) == 67
    assert least_device_iterations(4) == 4


def test_training_rate() -> None:
    workload = Workload(Mode.TRAINING, 4, micro_batch_size=2, replicas=3, gradient_accumulation=10)
    rate = training(workload, IN_ORDER, cycle_us=1000.0, update_us=4000.0)
    assert (rate.cycles, rate.total_us) == (16, 20_000.0)
    assert rate.samples_per_second == pytest.approx(2 * 10 * 3 / 0.020)


def test_inference_rate() -> None:
    workload = Workload(Mode.INFERENCE, 4, micro_batch_size=2, replicas=3)
    assert inference(workload, 1000.0).samples_per_second == pytest.approx(6000.0)
