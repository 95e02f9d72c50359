"""One rank of a pipeline that is put together by hand: `python by_hand.py PLAN FOLDER RANK`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.pipelining import Schedule1F1B

from ipu_partition.emit import torch_pipelining
from ipu_partition.plan import PartitionPlan

RANKS = MICRO_BATCHES = 2


def main(plan_folder: str, folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS)
    plan = PartitionPlan.load(plan_folder)
    stage = torch_pipelining.stage(plan, None, rank, "cpu")
    stage.submod.train()
    copies = torch_pipelining.copies(stage)
    schedule = Schedule1F1B(stage, MICRO_BATCHES, loss_fn=torch_pipelining.loss)
    optimizer = torch.optim.AdamW(stage.submod.parameters(), lr=1e-3)
    means = []
    for seeds, batch in torch.load(folder / "batches.pt"):
        losses: list[torch.Tensor] = []
        target = torch.tensor(seeds)
        schedule.step(**batch, draw_seeds=target, target=target, losses=losses, return_outputs=False)
        copies.sum_gradients()
        optimizer.step()
        optimizer.zero_grad()
        means += [float(torch.stack(losses).mean())] if losses else []
    torch.save({"losses": means, "weights": stage.submod.state_dict()}, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
