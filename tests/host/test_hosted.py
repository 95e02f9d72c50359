"""Tables in pieces: what stays the same, what changes, and where the pieces go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ipu_partition.blocks import blocks_of
from ipu_partition.cost import CostGraph
from ipu_partition.errors import UsageError
from ipu_partition.hosted import as_hosted
from ipu_partition.layout import placement
from ipu_partition.machine import machine
from ipu_partition.modules import units_running
from ipu_partition.prepare import Prepared
from ipu_partition.solve import Solved, solve_for
from ipu_partition.workload import Mode, Serialisation, Target, Workload

Small = Callable[..., Prepared]
MT5, WHOLE = "google/mt5-small", Serialisation()
SPLITS = [(4, 4, 0, 0), (2, 2, 2, 2), (0, 3, 3, 0), (8, 0, 0, 0), (0, 0, 0, 6)]


def elements(graph: CostGraph) -> int:
    return sum(p.elements for p in graph.parameters.values())


def planned(prepared: Prepared, wanted: Serialisation, ipus: int = 4) -> Solved:
    work = Workload(prepared.mode, ipus, serialisation=wanted, target=Target.OPTIMUM)
    return solve_for(prepared, work, machine("mk2"), "chain", compare=False)


def consistent(graph: CostGraph) -> None:
    """Tensors are made before they are read, by units that are there; parameters exist."""
    for tensor in graph.tensors:
        assert tensor.readers == tuple(sorted({*tensor.readers}))
        assert all(0 <= r < len(graph.units) for r in tensor.readers)
        assert tensor.producer is None or tensor.producer < tensor.readers[0]
    assert len({t.name for t in graph.tensors}) == len(graph.tensors)
    read = {p for unit in graph.units for p in unit.parameters}
    assert read <= set(graph.parameters)
    assert all(name == p.name for name, p in graph.parameters.items())
    assert len({unit.name for unit in graph.units}) == len(graph.units)
    assert CostGraph.from_dict(graph.to_dict()) == graph


def test_nothing_asked_is_the_same_object(small: Small) -> None:
    prepared = small(MT5)
    assert as_hosted(prepared, WHOLE, 4) is prepared
    cut = as_hosted(prepared, Serialisation(8, 1, (4, 4, 0, 0)), 4)
    assert as_hosted(cut, WHOLE, 4) is prepared
    assert as_hosted(cut, Serialisation(4), 4) == as_hosted(prepared, Serialisation(4), 4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("splits", SPLITS)
def test_a_table_on_several_ipus(splits: tuple[int, ...], training: bool, small: Small) -> None:
    prepared = small(MT5, training=training)
    pieces = sum(splits)
    cut = as_hosted(prepared, Serialisation(pieces, 1, splits), 4)
    graph, whole = cut.graph, prepared.graph
    consistent(graph)
    assert elements(graph) == elements(whole)
    assert graph.forward_flops == whole.forward_flops
    assert graph.backward_flops == whole.backward_flops
    names = [f"shared.shared.split_embeddings.{i}.weight" for i in range(pieces)]
    assert [n for n in graph.parameters if n not in whole.parameters] == names
    assert "shared.weight" not in graph.parameters
    pins = dict(placement(cut.layout, graph, 4).pins)
    held = {
        ipu: sum(p in names for u, i in pins.items() if i == ipu for p in graph.units[u].parameters) for ipu in range(4)
    }
    assert tuple(held.values()) == splits
    look_ups = sum(w.count for u in graph.units for w in u.work if w.table in names)
    assert look_ups == pieces
    if splits[0] == 0:
        assert pins[0] == 0, "what comes before the first block is on IPU 0"


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("splits", SPLITS)
def test_a_projection_on_several_ipus(splits: tuple[int, ...], training: bool, small: Small) -> None:
    prepared = small(MT5, training=training)
    pieces = sum(splits)
    cut = as_hosted(prepared, Serialisation(1, pieces, (), splits), 4)
    graph, whole = cut.graph, prepared.graph
    consistent(graph)
    assert elements(graph) == elements(whole)
    assert graph.forward_flops == whole.forward_flops
    assert graph.backward_flops == whole.backward_flops
    busy = [n for n in splits if n]
    links = graph.units[-len(busy) :]
    flops = [sum(w.count * w.forward_flops for w in u.work) for u in links]
    assert flops == [whole.units[-1].forward_flops * n // pieces for n in busy]
    assert links[-1].result_bytes == whole.units[-1].result_bytes
    parts = [t for t in graph.tensors if t.name.startswith("logits of")]
    assert sum(t.bytes for t in parts) == 2 * 2 * 16 * 96 * sum(busy[:-1]) // pieces
    assert all(t.readers == (len(graph.units) - 1,) and t.gradient_bytes == training * t.bytes for t in parts)
    (hidden,) = [t for t in graph.tensors if t.producer == len(graph.units) - len(busy) - 1 and t not in parts]
    assert hidden.readers == tuple(range(len(graph.units) - len(busy), len(graph.units)))


def test_both_tables_in_pieces(small: Small) -> None:
    prepared = small(MT5)
    cut = as_hosted(prepared, Serialisation(4, 4, (2, 2, 0, 0), (0, 0, 2, 2)), 4)
    consistent(cut.graph)
    assert elements(cut.graph) == elements(prepared.graph)
    units = [unit.name for unit in cut.graph.units]
    assert units[:2] == ["shared.shared.split_embeddings.0", "shared.shared.split_embeddings.2"]
    assert units[-2:] == ["lm_head.split_linear_layers.0", "lm_head.split_linear_layers.2"]
    assert units[2:-2] == [u.name for u in prepared.graph.units[1:-1]]
    assert units_running(cut, "lm_head") == {len(units) - 1}
    assert units_running(cut, "decoder.embed_tokens") == {1}
    assert units_running(cut, "encoder.block.1") == {3}


def test_the_plan_of_split_tables(small: Small) -> None:
    solved = planned(small(MT5), Serialisation(8, 4, (4, 4, 0, 0)))
    assert solved.assignment is not None
    blocks = [(b.module, b.ipu, b.user_id) for b in blocks_of(solved)]
    assert blocks[:2] == [
        ("shared.shared.split_embeddings.0", 0, "Embedding-0-3"),
        ("shared.shared.split_embeddings.4", 1, "Embedding-4-7"),
    ]
    assert blocks[-1] == ("lm_head", 3, "LM Head Output")
    assert [m for m, _, _ in blocks[2:-1]] == [f"{s}.block.{i}" for s in ("encoder", "decoder") for i in range(2)]
    assert solved.prepared.layout.serialised == {"lm_head.weight": 4}
    assert any("parallelize.py leaves them whole" in w for w in solved.prepared.warnings)


def test_pieces_counted_for_other_ipus_are_refused(small: Small) -> None:
    with pytest.raises(UsageError, match="serialized_embedding_splits_per_ipu names 2 IPUs, but 4 are planned"):
        as_hosted(small(MT5), Serialisation(8, 1, (4, 4)), 4)


def test_one_piece_is_the_whole_table(small: Small) -> None:
    prepared = small(MT5)
    cut = as_hosted(prepared, Serialisation(1, 1, (0, 1, 0, 0), (0, 0, 1, 0)), 4)
    assert cut.graph == prepared.graph
    assert cut.layout == prepared.layout


def test_a_multiplied_table_stays_one(small: Small) -> None:
    prepared = small("bert-base-uncased")
    hosted = as_hosted(prepared, Serialisation(4), 2)
    assert hosted.graph == prepared.graph
    assert placement(hosted.layout, hosted.graph, 2).serialised == {"bert.embeddings.word_embeddings.weight": 4}
    assert placement(prepared.layout, prepared.graph, 2).serialised == {}


def test_a_looked_up_table_becomes_tables(small: Small) -> None:
    prepared = small("bert-base-uncased", task="question-answering")
    hosted = as_hosted(prepared, Serialisation(6), 2)
    consistent(hosted.graph)
    assert elements(hosted.graph) == elements(prepared.graph)
    table = "bert.embeddings.word_embeddings"
    parts = [p for p in hosted.graph.parameters.values() if p.name.startswith(table)]
    assert [p.name for p in parts] == [f"{table}.split_embeddings.{i}.weight" for i in range(6)]
    assert {p.shape for p in parts} == {(16, 32)}
    before, after = prepared.graph.units[0], hosted.graph.units[0]
    rows = 2 * 32
    assert after.saved_bytes == before.saved_bytes + 6 * rows * 5
    assert sum(w.count for w in after.work if w.kind == "embedding") == 6 + 2
    added = [w for w in after.work if w.op == "add" and w.forward_bytes == 3 * rows * 64 and not w.backward_bytes]
    assert sum(w.count for w in added) >= 5


def test_a_padded_vocabulary(small: Small) -> None:
    prepared = small("gpt2")
    hosted = as_hosted(prepared, Serialisation(4), 2)
    consistent(hosted.graph)
    before, after = (p.graph.parameters["transformer.wte.weight"] for p in (prepared, hosted))
    assert (before.rows, after.rows, after.shape, after.bytes) == (97, 100, (100, 32), 6400)
    masking = [w for w in hosted.graph.units[-1].work if w not in prepared.graph.units[-1].work]
    logits = 2 * 2 * 32 * 97
    assert [(w.op, w.forward_bytes, w.backward_bytes) for w in masking] == [
        ("mul", 2 * logits, 2 * logits), ("add", 2 * logits, 0)
    ]  # fmt: skip
    assert placement(hosted.layout, hosted.graph, 2).serialised == {"transformer.wte.weight": 4}
    whole = as_hosted(prepared, Serialisation(97), 2)
    assert whole.graph == prepared.graph


def test_serialising_ties_the_head_of_mpnet(small: Small) -> None:
    prepared = small("microsoft/mpnet-base")
    hosted = as_hosted(prepared, Serialisation(4), 2)
    consistent(hosted.graph)
    assert elements(prepared.graph) - elements(hosted.graph) == 96 * 32
    name = "mpnet.embeddings.word_embeddings.weight"
    assert hosted.graph.parameters[name].aliases == ("lm_head.decoder.weight",)
    assert hosted.graph.readers(name) == (0, len(hosted.graph.units) - 1)
    assert placement(hosted.layout, hosted.graph, 2).serialised == {name: 4}


@pytest.mark.parametrize("ipu", [1, 2, 3])
def test_whisper_has_its_projection_where_it_is_told(ipu: int, small: Small) -> None:
    splits = tuple(4 if i == ipu else 0 for i in range(4))
    hosted = as_hosted(small("openai/whisper-tiny"), Serialisation(1, 4, (), splits), 4)
    where = placement(hosted.layout, hosted.graph, 4)
    units = [unit.name for unit in hosted.graph.units]
    embedding, head = units.index("model.decoder.embed_tokens"), units.index("proj_out")
    assert dict(where.pins)[embedding] == ipu
    assert (embedding, head) in where.together
    assert where.serialised == {"model.decoder.embed_tokens.weight": 4}
    solved = planned(small("openai/whisper-tiny"), Serialisation(1, 4, (), splits))
    assert solved.assignment is not None
    assert solved.assignment[embedding] == solved.assignment[head] == ipu


def test_masked_tokens_scale_the_head(small: Small) -> None:
    """The head and its loss cost the masked share of all tokens; inference and plain PopTorch compute them all."""
    name = "bert-base-uncased"
    head = {k: small(name, max_num_masked_tokens=k).graph.units[-1].forward_flops for k in (4, 8, 32)}
    assert head[8] == 2 * head[4]
    assert head[32] == 8 * head[4]
    assert small(name, target="poptorch").graph.units[-1].forward_flops == head[32]
    assert small(name, training=False).graph.units[-1].forward_flops == head[32]
    (gathered,) = [w for w in small(name, max_num_masked_tokens=4).graph.units[-2].work if w.op == "topk"]
    assert gathered.count == 1
    labels = next(t for t in small(name, max_num_masked_tokens=4).graph.tensors if t.name == "labels")
    assert (labels.bytes, labels.readers) == (2 * 32 * 4, (len(small(name).graph.units) - 2,))
    assert any("applies its head to 4 of 32 tokens" in w for w in small(name, max_num_masked_tokens=4).warnings)


def test_the_number_of_masked_tokens_is_a_field_of_classes_that_read_it(small: Small) -> None:
    with pytest.raises(UsageError, match="no field 'max_num_masked_tokens'"):
        small("gpt2", max_num_masked_tokens=4)
    with pytest.raises(UsageError, match="1 to 16777216"):
        small("bert-base-uncased", max_num_masked_tokens=0)
    with pytest.raises(UsageError, match="applies its head to 33 of 32 tokens"):
        small("bert-base-uncased", max_num_masked_tokens=33)
    assert small("bert-base-uncased", training=False, max_num_masked_tokens=33).mode is Mode.INFERENCE
