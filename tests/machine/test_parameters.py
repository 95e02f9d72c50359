from __future__ import annotations

from dataclasses import replace

import pytest

from ipu_partition.machine.constants import MEMORY
from ipu_partition.machine.parameters import offchip_state_bytes, parameter_bytes
from ipu_partition.workload import FULL_DTYPES, OPTIMIZERS, PRECISIONS, Mode, Workload

from .synthetic import parameter

TRAINING = Workload(Mode.TRAINING, ipus=4)
TABLE = parameter("table", 1_000_000, rows=1000)


def test_adamw_in_half_precision_keeps_ten_bytes_an_element() -> None:
    held = parameter_bytes(TABLE, TRAINING, MEMORY)
    assert held.resident == {"weights": 2_000_000, "gradient_accumulators": 2_000_000, "optimizer_state": 6_000_000}


def test_state_off_chip_is_there_during_the_update_only() -> None:
    away = parameter_bytes(TABLE, replace(TRAINING, optimizer_state_offchip=True), MEMORY)
    assert away.optimizer_state == 0
    assert away.update == 8_000_000  # "AdamW adds 8 B per element", optimum-graphcore's mt5_translation notebook
    assert parameter_bytes(TABLE, TRAINING, MEMORY).update == 2_000_000


def test_sharding_divides_state_by_the_replicas_rounding_up() -> None:
    odd = parameter("odd", 1_000_001)
    sharded = replace(TRAINING, replicas=4, replicated_tensor_sharding=True)
    assert parameter_bytes(odd, sharded, MEMORY).optimizer_state == 250_001 * 6
    assert parameter_bytes(parameter("bias", 8191), sharded, MEMORY).optimizer_state == 8191 * 6
    assert parameter_bytes(odd, sharded, MEMORY).weights == 2_000_002


def test_pieces_shrink_what_is_temporary_and_nothing_else() -> None:
    away = replace(TRAINING, optimizer_state_offchip=True)
    whole, cut = parameter_bytes(TABLE, away, MEMORY), parameter_bytes(TABLE, away, MEMORY, parts=4)
    assert cut.resident == whole.resident
    assert (cut.gradient * 4, cut.update * 4) == (whole.gradient, whole.update)


@pytest.mark.parametrize(
    "workload", [replace(TRAINING, mode=Mode.INFERENCE), replace(TRAINING, optimizer_state_offchip=True)]
)
def test_what_is_not_trained_keeps_its_weight_only(workload: Workload) -> None:
    frozen = replace(TABLE, trainable=workload.mode is Mode.INFERENCE)
    held = parameter_bytes(frozen, workload, MEMORY)
    assert held.resident == {"weights": 2_000_000, "gradient_accumulators": 0, "optimizer_state": 0}
    assert held.gradient == held.update == 0 == offchip_state_bytes(frozen, workload, MEMORY)


def test_no_accumulator_without_accumulation() -> None:
    held = parameter_bytes(TABLE, replace(TRAINING, ipus=1, gradient_accumulation=1), MEMORY)
    assert held.gradient_accumulators == 0
    assert held.gradient == 2_000_000


def test_single_precision_and_sgd() -> None:
    full = replace(TRAINING, precision=PRECISIONS["32.32"], dtypes=FULL_DTYPES)
    wide = parameter("wide", 1_000_000, width=4)
    assert sum(parameter_bytes(wide, full, MEMORY).resident.values()) == 16_000_000
    plain = replace(full, optimizer=OPTIMIZERS["sgd"])
    assert parameter_bytes(wide, plain, MEMORY).optimizer_state == 0
