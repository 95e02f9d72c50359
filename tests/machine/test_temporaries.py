from __future__ import annotations

from dataclasses import replace

import pytest

from ipu_partition.cost.graph import Work
from ipu_partition.machine.kinds import machine
from ipu_partition.machine.temporaries import transient_bytes
from ipu_partition.workload import Mode, Workload

from .synthetic import bert_large, graph, layer_unit

MK2 = machine("mk2")
INFERENCE = Workload(Mode.INFERENCE, ipus=1)
TRAINING = Workload(Mode.TRAINING, ipus=4)


def once(_: Work) -> int:
    return 1


def test_bert_large_constant_transient() -> None:
    """51.6 MB beside the weights whatever the number of layers (graphcore/popliner:tests/test_popart_bert_inf.py): no
    constant is fitted to it."""
    layers = [transient_bytes(u, INFERENCE, MK2, passes=once) for u in graph(bert_large(training=False)).units[1:-1]]
    assert len(set(layers)) == 1
    assert layers[0] == pytest.approx(51.6e6, rel=0.12)


def test_training_needs_gradients_beside_what_is_alive() -> None:
    unit = layer_unit(bert_large(batch=8), 0)
    without, with_gradient = (transient_bytes(unit, TRAINING, MK2, passes=once, gradient_bytes=g) for g in (0, 10**7))
    assert with_gradient == without + 10**7
    saved_all = replace(unit, work=(), forward_peak_bytes=unit.saved_bytes)
    assert transient_bytes(saved_all, TRAINING, MK2, passes=once) == 0
    assert transient_bytes(saved_all, INFERENCE, MK2, passes=once) == unit.saved_bytes
