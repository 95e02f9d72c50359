"""What a file says of one mode: its own contradictions, and `layers_per_ipu` as optimum-graphcore expands it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipu_partition.handwritten import counted, read, side
from ipu_partition.workload import Mode

NAME = "PipelinedSomething"


def _texts(data: dict[str, Any], mode: Mode = Mode.TRAINING, fatal: bool = True, **options: Any) -> list[str]:
    return [f.text for f in side(read(data), mode, **options).findings if f.fatal is fatal]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"layers_per_ipu": [3, 3, 6], "ipus_per_replica": 4}, "layers_per_ipu has 3 values, ipus_per_replica is 4"),
        ({"layers_per_ipu": [3, -1], "ipus_per_replica": 4}, "parallelize\\(\\) refuses"),
        ({"ipus_per_replica": 128}, "128 IPUs x 1 replicas are 128, one process can hold 64"),
        ({"ipus_per_replica": 16, "replication_factor": 8}, "16 IPUs x 8 replicas are 128"),
        ({"layers_per_ipu": [6, 6], "matmul_proportion": [0.1] * 3}, "matmul_proportion has 3 values"),
        (
            {
                "layers_per_ipu": [6, 6],
                "serialized_embedding_splits_per_ipu": [1, 1],
                "embedding_serialization_factor": 2,
            },
            "both given",
        ),
    ],
)
def test_contradictions_are_fatal_and_stop_the_prediction(data: dict[str, Any], said: str) -> None:
    import re

    texts = _texts(data)
    assert any(re.search(said, text) for text in texts)
    assert not side(read(data), Mode.TRAINING).predictable


@pytest.mark.parametrize(
    ("data", "mode", "said"),
    [
        ({"layers_per_ipu": [4, 4, 4]}, Mode.TRAINING, "3, no power of two: the host reserves 4"),
        (
            {"layers_per_ipu": [6, 6], "replication_factor": 5},
            Mode.TRAINING,
            "no power of two: the host reserves 16",
        ),
        ({"layers_per_ipu": [6, 6], "replicated_tensor_sharding": True}, Mode.TRAINING, "nothing with one replica"),
        ({"layers_per_ipu": [6, 6], "inference_layers_per_ipu": [-1]}, Mode.INFERENCE, "training uses 2 IPUs and inf"),
        (
            {"layers_per_ipu": [6, 6], "inference_layers_per_ipu": [12], "matmul_proportion": [0.1, 0.3]},
            Mode.INFERENCE,
            "inference uses the default, 0.2",
        ),
        ({"parallelize_kwargs": {"for_generation": True}}, Mode.TRAINING, "parallelize_kwargs is not looked at"),
    ],
)
def test_advice_is_given_and_the_prediction_goes_on(data: dict[str, Any], mode: Mode, said: str) -> None:
    assert any(said in text for text in _texts(data, mode, fatal=False))
    assert side(read(data), mode).predictable


def test_the_command_line_decides_the_replicas() -> None:
    data = {"layers_per_ipu": [6, 6], "replication_factor": 5, "inference_replication_factor": 3}
    assert [side(read(data), mode, 4).replicas for mode in Mode] == [4, 4]
    assert not _texts(data, fatal=False, replicas=4)


def _original(layers_per_ipu: list[int], ipus: int, layers: int) -> list[int] | None:
    """Layers on each IPU by `_expand_layers_per_ipu_wildcard` and `get_layer_ipu`, word for word; None: it raises.

    Source: optimum/graphcore/modeling_utils.py (0.7.1).
    """
    expanded = list(layers_per_ipu)
    if ipus == 1:
        expanded = [layers]
    elif expanded in ([-1], [-1] * ipus):
        quotient, remainder = divmod(layers, ipus)
        expanded = [quotient] * ipus
        if remainder > 0:
            expanded[-1] += remainder
    elif -1 in expanded and len(expanded) == ipus:
        wild = [i for i, v in enumerate(expanded) if v == -1]
        quotient, remainder = divmod(layers - sum(v for v in expanded if v != -1), len(wild))
        for i in wild:
            expanded[i] = quotient
        if remainder > 0:
            expanded[wild[-1]] += remainder
    elif len(expanded) != ipus or sum(expanded) != layers:
        return None
    layer_ipu: list[int] = []
    for ipu, n_layers in enumerate(expanded):
        layer_ipu += [ipu] * n_layers
    placed = [ipu for _, ipu in zip(range(layers), layer_ipu, strict=False)]
    return [placed.count(ipu) for ipu in range(ipus)]


@given(
    st.lists(st.integers(-1, 6), min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(1, 5)),
    st.integers(1, 12),
)
def test_layers_are_those_of_the_original(asked: list[int], ipus: int | None, layers: int) -> None:
    data = {"layers_per_ipu": asked} | ({} if ipus is None else {"ipus_per_replica": ipus})
    one = side(read(data), Mode.TRAINING)
    real = _original(asked, one.ipus, layers)
    if not one.predictable:
        assert real is None or -1 not in asked  # of the latter, IPUConfig itself complains
        return
    found = counted(one, layers, None, NAME)
    assert found.predictable is (real is not None)
    if real is not None:
        assert list(found.layers or (layers,)) == real
    said = any("adds up to" in f.text or "exceed" in f.text or "not looked at" in f.text for f in found.findings)
    nothing_odd = real is not None and all(n in (-1, m) for n, m in zip(asked, real, strict=False))
    assert said or nothing_odd or asked in ([-1], [layers])


def test_a_class_that_places_its_layers_itself_says_so() -> None:
    one = side(read({"layers_per_ipu": [3, 3], "matmul_proportion": 0.3}), Mode.TRAINING)
    found = counted(one, 0, 4, NAME)
    assert found.layers is None
    assert [f.field for f in found.findings] == ["layers_per_ipu", "ipus_per_replica"]
    assert counted(side(read({"ipus_per_replica": 4}), Mode.TRAINING), 0, 4, NAME).findings == ()


def test_inference_names_the_key_that_it_takes_over() -> None:
    one = side(read({"layers_per_ipu": [3, 3]}), Mode.INFERENCE)
    assert counted(one, 5, None, NAME).findings[0].field == "layers_per_ipu"
    own = side(read({"layers_per_ipu": [3, 3], "inference_layers_per_ipu": [3, 3]}), Mode.INFERENCE)
    assert counted(own, 5, None, NAME).findings[0].field == "inference_layers_per_ipu"
