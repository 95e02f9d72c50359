"""What was asked for, from the document of a plan: the request and the workload of one mode."""

from __future__ import annotations

from itertools import product
from typing import Any

from .errors import UsageError
from .plan import PartitionPlan
from .plan_parts import ModePlan, WorkloadInfo
from .request import ORDERS, Request, planner_named
from .workload import DTYPE_BYTES, OPTIMIZERS, PRECISIONS, Mode, OptimizerDtypes, Serialisation, Target, Workload
from .workload import default_dtypes as trainer_dtypes

LENGTHS = ("sequence_length", "target_length", "image_size", "audio_seconds")
"""Shapes in a document that are options of a request."""


def request_of(plan: PartitionPlan, part: ModePlan) -> Request:
    """The request that gives `part` again, all defaults filled in. UsageError where no request does."""
    work, asked = part.workload, plan.overrides
    return Request(
        ipus=work.ipus,
        mode=work.mode,
        task=None if plan.model.task == "custom" else plan.model.task,
        config=plan.model.config,
        revision=plan.model.revision,
        micro_batch_size=work.micro_batch_size,
        replicas=work.replicas,
        gradient_accumulation=work.gradient_accumulation,
        optimizer=work.optimizer,
        optimizer_state_offchip=work.optimizer_state_offchip,
        replicated_tensor_sharding=work.replicated_tensor_sharding,
        recompute_checkpoint_every_layer=work.recompute_checkpoint_every_layer,
        precision=work.precision,
        matmul_proportion=_proportion(work),
        outlining=work.outlining,
        machine=plan.machine.name,
        target=plan.target,
        layers=(asked.layers if plan.checked is None else part.layers_per_ipu) or None,
        pins=asked.pins or None,
        prefer=asked.prefer,
        planner=_planner(asked.planner),
        order=ORDERS[part.order is not None],
        idle=plan.checked is not None,
        **_types(work),
        **_pieces(work),
        **_lengths(plan),
    )


def _planner(name: str) -> str:
    """The default where the one that was asked lacks here what it imports: only solving anew would need it."""
    try:
        planner_named(name)
    except UsageError:
        return Request().planner
    return name


def _types(work: WorkloadInfo) -> dict[str, Any]:
    words, dtypes = {count: name for name, count in DTYPE_BYTES.items()}, _dtypes(work)
    return {
        "accum_type": words[dtypes.accumulator_bytes],
        "first_order_momentum_accum_type": words[dtypes.first_moment_bytes],
        "second_order_momentum_accum_type": words[dtypes.second_moment_bytes],
    }


def _pieces(work: WorkloadInfo) -> dict[str, Any]:
    """The pieces of large tables: on each IPU where the plan says that, else how many."""
    found: dict[str, Any] = {}
    for table in ("embedding", "projection"):
        splits, factor = _splits(work, table), f"{table}_serialization_factor"
        found |= {f"serialized_{table}_splits_per_ipu": splits} if splits else {factor: getattr(work, factor)}
    return found


def _lengths(plan: PartitionPlan) -> dict[str, Any]:
    """Sides of an image that differ are those of the configuration."""
    shapes = plan.model.shapes
    return {name: shapes[name] for name in LENGTHS if isinstance(shapes.get(name), int | float)}


def workload_of(work: WorkloadInfo, target: Target) -> Workload:
    """The workload that the document writes down. UsageError where it names what is unknown here."""
    dtypes = _dtypes(work)
    return Workload(
        mode=Mode(work.mode),
        ipus=work.ipus,
        micro_batch_size=work.micro_batch_size,
        replicas=work.replicas,
        gradient_accumulation=work.gradient_accumulation,
        optimizer=OPTIMIZERS[work.optimizer],
        precision=PRECISIONS[work.precision],
        dtypes=dtypes,
        optimizer_state_offchip=work.optimizer_state_offchip,
        replicated_tensor_sharding=work.replicated_tensor_sharding,
        recompute_checkpoint_every_layer=work.recompute_checkpoint_every_layer,
        matmul_proportion=_proportion(work),
        serialisation=Serialisation(
            embedding=work.embedding_serialization_factor,
            projection=work.projection_serialization_factor,
            embedding_splits=_splits(work, "embedding"),
            projection_splits=_splits(work, "projection"),
        ),
        outlined=work.outlining,
        target=target,
    )


def _proportion(work: WorkloadInfo) -> float | tuple[float, ...]:
    given = work.matmul_proportion
    return tuple(given) if isinstance(given, list) else given


def _splits(work: WorkloadInfo, table: str) -> tuple[int, ...]:
    return tuple(getattr(work, f"serialized_{table}_splits_per_ipu") or ())


def _dtypes(work: WorkloadInfo) -> OptimizerDtypes:
    """The types of the trainer where they are as large as the plan says, else the first that are: a plan says what the
    state takes in all, not what each part does."""
    if work.optimizer not in OPTIMIZERS or work.precision not in PRECISIONS:
        raise UsageError(
            f"The plan is for the optimizer {work.optimizer!r} in {work.precision!r}; expected one of "
            f"{', '.join(OPTIMIZERS)}, in {', '.join(PRECISIONS)}."
        )
    usual = trainer_dtypes(PRECISIONS[work.precision])
    sizes = sorted(DTYPE_BYTES.values())
    wanted = (work.accumulator_bytes, work.optimizer_state_bytes)
    tried = [usual, *(OptimizerDtypes(*widths) for widths in product(sizes, repeat=3))]
    for dtypes in tried:
        if (dtypes.accumulator_bytes, dtypes.state_bytes(OPTIMIZERS[work.optimizer])) == wanted:
            return dtypes
    raise UsageError(
        f"An element has {wanted[0]} bytes of gradient and {wanted[1]} of {work.optimizer} state by the plan, which no "
        f"types of {sizes} bytes make. Make the plan again."
    )
