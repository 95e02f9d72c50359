from __future__ import annotations

import pytest

from ipu_partition.machine.codelets import base_terms, code_model, kinds, op_quarters, unit_terms
from ipu_partition.machine.constants import MEMORY
from ipu_partition.machine.memory import add
from ipu_partition.workload import Mode, Workload

from .synthetic import Shape, bert_large, graph, layer_unit

INFERENCE = Workload(Mode.INFERENCE, ipus=1)
TRAINING = Workload(Mode.TRAINING, ipus=1)


def code_of(shape: Shape, workload: Workload, units: slice) -> dict[str, int]:
    chosen = graph(shape).units[units]
    shared = sum(code_model(workload, MEMORY).vertex_bytes(kind) for kind in kinds(chosen))
    return add(
        base_terms(workload, MEMORY), {"vertex_code": shared}, *(unit_terms(u, workload, MEMORY) for u in chosen)
    )


def test_bert_large_inference_stages() -> None:
    """graphcore/popliner:tests/test_popart_bert_inf.py: embedding and layers 0-11, then layers 12-23 and the head."""
    first = code_of(bert_large(training=False), INFERENCE, slice(0, 13))
    assert first["vertex_code"] == pytest.approx(9_664_672, rel=0.15)
    assert first["vertex_state"] == pytest.approx(12_826_418, rel=0.15)
    assert first["exchange_code"] == pytest.approx(15_544_264, rel=0.20)
    assert first["control_code"] == pytest.approx(16_535_740, rel=0.15)
    second = code_of(bert_large(training=False), INFERENCE, slice(13, 26))
    assert sum(second.values()) == pytest.approx(8_081_590 + 12_634_268 + 12_260_900 + 16_327_096, rel=0.1)


def test_tiny_bert_training() -> None:
    """graphcore/popliner:tests/test_profile.py: 62.6 MB of code and state of a model of almost no data."""
    shape = Shape(3, 64, 8, 256, 30522, 128, 1, "span", positions=512)
    code = code_of(shape, TRAINING, slice(None))
    assert sum(code.values()) == pytest.approx(62_643_518, rel=0.1)
    assert code["vertex_code"] == pytest.approx(24_414_353, rel=0.1)


def test_layers_cost_the_same_and_codelets_are_shared() -> None:
    one, two = (code_of(bert_large(training=False), INFERENCE, slice(1, 1 + n)) for n in (1, 2))
    assert one["vertex_code"] == two["vertex_code"]
    three = code_of(bert_large(training=False), INFERENCE, slice(1, 4))
    assert {t: three[t] - two[t] for t in one} == {t: two[t] - one[t] for t in one}


def test_a_bert_layer_is_52_quarters() -> None:
    assert op_quarters(layer_unit(bert_large(), 0)) == 52
