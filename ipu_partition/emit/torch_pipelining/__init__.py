"""A plan as stages of `torch.distributed.pipelining`, one on each rank.

On every rank, inside a process group::

    from ipu_partition.emit import torch_pipelining

    stage = torch_pipelining.stage(plan, model, rank, device)
    copies = torch_pipelining.copies(stage)
    schedule = Schedule1F1B(stage, micro_batches, loss_fn=torch_pipelining.loss)
    optimizer = AdamW(stage.submod.parameters())
    rows = torch.zeros(micro_batches)  # the schedule cuts a target up, which nothing reads
    schedule.step(**batch, target=rows, return_outputs=False)  # batch: the inputs of the model, labels included
    copies.sum_gradients()
    optimizer.step()
    optimizer.zero_grad()

`batch` is the same on all ranks, and has as many rows as all micro-batches together; an input whose name
`step` has taken (`target`) gets an underscore behind it. The loss is averaged over micro-batches. Weights must be equal
on all ranks: give the model with its values, or the same `seed`. `draw_seeds=`, one whole number for each micro-batch,
makes dropout that of one process.

Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chain import Carried, Link, Weight, keyword, links
from .opened import Change, Cut, Pipeline, open_pipeline

if TYPE_CHECKING:
    import torch
    import torch.distributed as dist
    from torch.distributed.pipelining import PipelineStage

    from ...plan import PartitionPlan
    from .module import StageModule
    from .tied import Copies

__all__ = [
    "Carried",
    "Change",
    "Cut",
    "Link",
    "Pipeline",
    "Weight",
    "copies",
    "keyword",
    "links",
    "loss",
    "open_pipeline",
    "pipeline_stage",
    "stage",
    "stages",
]


def stages(
    plan: PartitionPlan,
    model: object = None,
    ranks: int | None = None,
    device: torch.device | str = "cpu",
    **given: Any,
) -> tuple[StageModule, ...]:
    """The training part of `plan` as modules that call each other in order; the last returns the loss.

    `model` is what was planned, and gives its weights where it is a module; None: it is made again from what the plan
    says, with random weights. `ranks`: as many as the plan has devices where it is None. A plan with other stages than
    one for each rank is planned again. `given`: `seed` of random weights, and `progress`, `example_inputs`, `loss` and
    `trust_remote_code` as in :func:`ipu_partition.partition`.

    Raises :class:`~ipu_partition.errors.UsageError` and :class:`~ipu_partition.errors.TraceError`.
    """
    opened = open_pipeline(plan, _ranks(plan, ranks), model, **given)
    return tuple(_module(opened, rank, device) for rank in range(len(opened.chain)))


def stage(
    plan: PartitionPlan,
    model: object,
    rank: int,
    device: torch.device | str,
    group: dist.ProcessGroup | None = None,
    **given: Any,
) -> PipelineStage:
    """The stage of one rank, to be made on all ranks of `group` (default: all). As :func:`stages`, for as many ranks as
    the group has."""
    import torch
    import torch.distributed as dist

    opened = open_pipeline(plan, dist.get_world_size(group), model, **given)
    return pipeline_stage(_module(opened, rank, device), torch.device(device), group)


def pipeline_stage(
    module: StageModule, device: torch.device, group: dist.ProcessGroup | None = None, kind: type | None = None
) -> PipelineStage:
    """`module` as PyTorch's pipeline knows it: shapes are given, so that nothing is run to find them. `kind`: a class
    derived from `PipelineStage`."""
    from torch.distributed.pipelining import PipelineStage

    from .module import examples

    link = module.ipu_link
    made: PipelineStage = (kind or PipelineStage)(
        module,
        link.index,
        link.count,
        device,
        input_args=examples(link.receives, device),
        output_args=examples(link.sends, device),
        group=group,
    )
    return made


def copies(stage: PipelineStage) -> Copies:
    """Keeps weights that several ranks hold equal; to be made on all ranks."""
    from .module import StageModule
    from .tied import Copies

    assert isinstance(stage.submod, StageModule)
    return Copies(stage.submod, stage.group)


def loss(output: torch.Tensor, target: object = None) -> torch.Tensor:
    """For `loss_fn=` of a schedule: the last stage returns the loss already. `target` is not read."""
    return output


def _ranks(plan: PartitionPlan, ranks: int | None) -> int:
    return plan.mode("training").workload.ipus if ranks is None else ranks


def _module(opened: Pipeline, rank: int, device: torch.device | str) -> StageModule:
    from .module import StageModule, moved

    program = moved(opened.split.pieces[rank].module, device)
    return StageModule(opened.chain[rank], program, opened.tensors(rank)).to(device)
