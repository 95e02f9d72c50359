"""Plans made by hand, for the tests of everything that turns a plan into files or tables."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ipu_partition.basis import cost_rules, machine_numbers
from ipu_partition.plan import PartitionPlan, shapes_of
from tests.plans_edit import edited

MIB = 1 << 20
CAPACITY_BYTES = 940_000_000
MACHINE = machine_numbers("mk2")


def block(module: str, ipu: int, user_id: str | None = None, alternatives: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"module": module, "ipu": ipu, "user_id": user_id or module, "alternatives": list(alternatives)}


def memory(mib: dict[str, int]) -> dict[str, Any]:
    terms = {name: value * MIB for name, value in mib.items()}
    return {"total_bytes": sum(terms.values()), "capacity_bytes": CAPACITY_BYTES, "terms": terms}


def workload(mode: str, ipus: int, **changes: Any) -> dict[str, Any]:
    training = mode == "training"
    return {
        "mode": mode,
        "ipus": ipus,
        "micro_batch_size": 1,
        "replicas": 1,
        "gradient_accumulation": 256 if training else None,
        "optimizer": "adamw",
        "precision": "16.16",
        "optimizer_state_offchip": False,
        "replicated_tensor_sharding": False,
        "recompute_checkpoint_every_layer": training,
        "matmul_proportion": 0.2,
        "schedule": "pipelined-training" if training else "sharded-inference",
        **changes,
    }


def stages(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring blocks on one IPU."""
    found: list[dict[str, Any]] = []
    for unit, placed in enumerate(blocks):
        if not found or found[-1]["ipu"] != placed["ipu"]:
            found.append({"index": len(found), "ipu": placed["ipu"], "units": [], "modules": []})
        found[-1]["units"].append(unit)
        found[-1]["modules"].append(placed["module"])
    return found


def mode_plan(work: dict[str, Any], blocks: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    ipus, sharded = work["ipus"], work["schedule"] == "sharded-inference"
    length = 1 + sum(a != b for a, b in pairwise([0, *(b["ipu"] for b in blocks)]))
    least = {"pipelined-training": 2 * length - 1, "pipelined-inference": length}.get(work["schedule"], 1)
    terms = {"weights": 120, "optimizer": 360, "activations": 90, "transients": 80, "code": 30}
    return {
        "workload": work,
        "status": "optimal",
        "fits": True,
        "layers_per_ipu": None,
        "stages": stages(blocks),
        "blocks": blocks,
        "checkpoints": [],
        "adapters": [],
        "ipus": [{"ipu": i, "memory": memory(terms), "cycle_us": 1500.0 + 10 * i} for i in range(ipus)],
        "predicted": {
            "cycle_us": None if sharded else 1570.0,
            "latency_us": 9000.0 if sharded else None,
            "samples_per_second": 636.9,
            "update_us": 410_000.0 if work["mode"] == "training" else None,
        },
        "solution": {"planner": "chain", "objective_us": 1570.0, "lower_bound_us": 1570.0, "gap": 0.0, "seconds": 0.4},
        "baselines": [],
        "minimum_accumulation": least,
        "shortfall": None,
        "levers": [],
        "warnings": [],
        **changes,
    }


def plan(training: dict[str, Any] | None, inference: dict[str, Any] | None, **changes: Any) -> PartitionPlan:
    model = {
        "name": "gpt2-medium",
        "source": "built-in",
        "architecture": "GPT2LMHeadModel",
        "task": "causal-lm",
        "hub_id": "openai-community/gpt2-medium",
        "revision": None,
        "model_type": "gpt2",
        "parameters": 354_823_168,
        "transformers_version": "5.23.0",
        "fingerprint": "0f3a9c41d2b7e865",
        "shapes": {"batch_size": 1, "sequence_length": 1024},
        **changes.pop("model", {}),
    }
    shapes = shapes_of(model["shapes"])
    data = {
        "basis": {"model": model["fingerprint"], "shapes": shapes, "machine": MACHINE, "rules": cost_rules()},
        "model": model,
        "machine": {"name": "mk2", "tiles_per_ipu": 1472, "bytes_per_tile": 638_976, "capacity_bytes": CAPACITY_BYTES},
        "target": "optimum",
        "expressible": True,
        "optimum_class": "PipelinedGPT2LMHeadModel",
        "fits": all(mode["fits"] for mode in (training, inference) if mode),
        "warnings": [],
        "training": training,
        "inference": inference,
        "audit": {"counted": {"aten.addmm.default": 97}, "ignored": {"aten.view.default": [240, "moves nothing"]}},
        **changes,
    }
    return PartitionPlan.model_validate(data)


def gpt2_blocks(layers_per_ipu: list[int]) -> list[dict[str, Any]]:
    ipus = [ipu for ipu, count in enumerate(layers_per_ipu) for _ in range(count)]
    layers = [block(f"transformer.h.{i}", ipu) for i, ipu in enumerate(ipus)]
    embeddings = [block("transformer.wte", 0), block("transformer.wpe", 0)]
    return [*embeddings, *layers, block("lm_head", 0)]


def gpt2_medium() -> PartitionPlan:
    """8 IPUs, the tied head back on IPU 0, both modes."""
    layers = [1, 3, 3, 3, 4, 4, 3, 3]
    uniform = {
        "name": "uniform",
        "layers_per_ipu": [3] * 8,
        "cycle_us": 2210.0,
        "peak_bytes": 1_020_000_000,
        "fits": False,
    }
    greedy = {
        "name": "greedy",
        "layers_per_ipu": None,
        "cycle_us": None,
        "peak_bytes": 0,
        "fits": False,
        "violations": ["layers [12, 12, 0, 0, 0, 0, 0, 0]: IPUs [2, 3, 4, 5, 6, 7] hold no unit"],
    }
    training = mode_plan(
        workload("training", 8, matmul_proportion=[0.1, *[0.2] * 7], replicas=2, optimizer_state_offchip=True),
        gpt2_blocks(layers),
        layers_per_ipu=layers,
        checkpoints=[{"module": f"transformer.h.{i}", "alternatives": []} for i in range(24)],
        baselines=[uniform, greedy],
    )
    inference = mode_plan(workload("inference", 4), gpt2_blocks([6] * 4), layers_per_ipu=[6] * 4)
    return plan(training, inference)


def overruled() -> PartitionPlan:
    """The user chose the layers, a module's IPU and the planner, and puts memory first; half of that is proved."""
    training = mode_plan(workload("training", 2), gpt2_blocks([2, 4]), layers_per_ipu=[2, 4], status="feasible")
    training["solution"] |= {"prefer": "memory", "lower_bound_us": None, "peak_bytes": 680 * MIB}
    inference = mode_plan(workload("inference", 2), gpt2_blocks([2, 4]), layers_per_ipu=[2, 4])
    inference["solution"] |= {**training["solution"], "lower_bound_bytes": 680 * MIB, "refined": False}
    training["solution"] |= {"lower_bound_bytes": 612 * MIB, "gap": 0.1}
    overrides = {"layers": [2, -1], "pins": {"lm_head": 0}, "prefer": "memory", "planner": "chain{time_limit=30}"}
    return plan(training, inference, overrides=overrides)


def bart() -> PartitionPlan:
    """The embeddings of encoder and decoder are one block id, as in optimum-graphcore."""
    blocks = [
        block("model.encoder.embed_tokens", 0, "Embedding"),
        *(block(f"model.encoder.layers.{i}", i // 3) for i in range(6)),
        block("model.decoder.embed_tokens", 0, "Embedding"),
        *(block(f"model.decoder.layers.{i}", 2 + i // 3) for i in range(6)),
        block("lm_head", 0),
    ]
    training = mode_plan(workload("training", 4), blocks, layers_per_ipu=[3, 3, 3, 3], status="feasible")
    training["solution"] = {**training["solution"], "lower_bound_us": 1500.0, "gap": 0.0467}
    return plan(
        training,
        None,
        model={"name": "bart-base", "architecture": "BartForConditionalGeneration", "model_type": "bart"},
        optimum_class="PipelinedBartForConditionalGeneration",
    )


def deberta() -> PartitionPlan:
    """A weight that all layers read, and names that changed between versions of transformers."""
    blocks = [
        block("deberta.embeddings", 0),
        block("deberta.encoder", 0),
        *(block(f"deberta.encoder.layer.{i}", i // 3, None, (f"deberta.layers.{i}",)) for i in range(12)),
        block("qa_outputs", 3),
    ]
    adapter = {
        "kind": "weight-as-activation",
        "module": "deberta.encoder",
        "method": "get_rel_embedding",
        "alternatives": [],
    }
    work = workload("inference", 4, schedule="pipelined-inference")
    training = mode_plan(workload("training", 4), blocks, layers_per_ipu=[3] * 4, adapters=[adapter])
    inference = mode_plan(work, blocks, layers_per_ipu=[3] * 4, adapters=[adapter])
    warning = "optimum-graphcore infers sharded; this plan is pipelined: use parallelize.py."
    names = {"name": "deberta-base", "architecture": "DebertaForQuestionAnswering", "model_type": "deberta"}
    return plan(
        training,
        inference,
        model=names,
        target="poptorch",
        expressible=False,
        optimum_class=None,
        warnings=[warning],
    )


def inference_only() -> PartitionPlan:
    layers = [6, 6]
    blocks = [
        block("vit.embeddings", 0),
        *(block(f"vit.layers.{i}", i // 6) for i in range(12)),
        block("classifier", 1),
    ]
    for placed in blocks[1:-1]:
        placed["alternatives"] = [placed["module"].replace("vit.layers", "vit.encoder.layer")]
    return plan(
        None,
        mode_plan(workload("inference", 2), blocks, layers_per_ipu=layers),
        model={"name": "vit-base", "architecture": "ViTForImageClassification", "model_type": "vit"},
        optimum_class="PipelinedViTForImageClassification",
    )


def not_fitting() -> PartitionPlan:
    """IPU 1 lacks memory; one of the levers would help."""
    terms = {"weights": 300, "optimizer": 500, "activations": 400, "code": 30}
    lacking = memory(terms)
    training = mode_plan(workload("training", 2), gpt2_blocks([12, 12]), layers_per_ipu=[12, 12])
    training["ipus"][1]["memory"] = lacking
    training["solution"] |= {"lower_bound_us": None, "gap": None, "proved": False}
    levers = [
        {
            "name": "--optimizer-state-offchip",
            "description": "keep the optimizer state in host memory",
            "options": {"optimizer_state_offchip": True},
            "bytes_saved": 500 * MIB,
            "samples_per_second": 630.2,
            "time_lost": 0.0105,
            "fits": True,
        },
        {
            "name": "--sequence-length 512",
            "description": "work on shorter inputs",
            "options": {"sequence_length": 512},
            "bytes_saved": 100 * MIB,
            "samples_per_second": 1100.0,
            "fits": False,
        },
    ]
    shortfall = {"ipu": 1, "bytes": lacking["total_bytes"] - CAPACITY_BYTES, "terms": lacking["terms"]}
    changes = {"status": "infeasible", "fits": False, "levers": levers, "shortfall": shortfall}
    return plan({**training, **changes}, None)


def made_to_fit() -> PartitionPlan:
    """Two options were changed; what else would save memory is listed too."""
    applied = [
        {
            "name": "--optimizer-state-offchip",
            "description": "keep the optimizer state in host memory",
            "options": {"optimizer_state_offchip": True},
        },
        {
            "name": "--matmul-proportion 0.1",
            "description": "let matrix products use 10% of a tile for temporaries",
            "options": {"matmul_proportion": 0.1},
        },
    ]
    lever = {
        "name": "--micro-batch-size 2",
        "description": "work on fewer samples at a time",
        "options": {"micro_batch_size": 2},
        "bytes_saved": 70 * MIB,
        "samples_per_second": 500.0,
        "time_lost": 0.215,
        "fits": True,
    }
    work = workload("training", 2, matmul_proportion=0.1, optimizer_state_offchip=True)
    training = mode_plan(
        work,
        gpt2_blocks([12, 12]),
        layers_per_ipu=[12, 12],
        applied=applied,
        fitting={"lacked_bytes": 300 * MIB, "plans_tried": 17, "time_lost": 0.0444},
        levers=[lever],
    )
    return plan(training, None)


def hopeless() -> PartitionPlan:
    """Nothing makes it fit."""
    fitting = {
        "lacked_bytes": 333 * MIB,
        "plans_tried": 4,
        "time_lost": None,
        "nearest": ["--matmul-proportion 0.05", "--optimizer-state-offchip"],
        "nearest_lacks_bytes": 100 * MIB,
    }
    data = not_fitting().to_dict()
    data["training"] |= {"fitting": fitting, "levers": []}
    return edited(data)


ALL = {
    f.__name__: f for f in (gpt2_medium, overruled, bart, deberta, inference_only, not_fitting, made_to_fit, hopeless)
}
