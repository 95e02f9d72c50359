"""Cut ViT with 14 findings into pipeline stages, and write what train.py reads on the IPU host.

Anywhere, without an IPU and without weights:

    python plan.py --output plan
"""

from __future__ import annotations

import argparse

from findings import FINDINGS
from ipu_partition import PartitionPlan, UsageError, partition
from ipu_partition.report.terminal import show_plan

MULTI_LABEL = {"num_labels": len(FINDINGS), "problem_type": "multi_label_classification"}


def make_plan(options: argparse.Namespace) -> PartitionPlan:
    """Of the model that train.py fine-tunes: 14 outputs, and BCE with logits as its loss."""
    return partition(
        options.model,
        ipus=options.ipus,
        task="image-classification",
        config=MULTI_LABEL,
        micro_batch_size=options.batch_size,
        replicas=options.replicas,
        gradient_accumulation=options.gradient_accumulation,
    )


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description="Plan the fine-tuning of ViT to 14 findings on IPUs.")
    p.add_argument("--output", required=True, help="the folder to write the configuration into")
    p.add_argument("--model", default="google/vit-base-patch16-224-in21k", help="a Hub id or a folder")
    p.add_argument("--ipus", type=int, default=4, help="of one replica (default: 4)")
    p.add_argument("--replicas", type=int, default=1, help="copies of the model that train together (default: 1)")
    p.add_argument("--batch-size", type=int, default=1, help="the micro-batch, that of train.py (default: 1)")
    p.add_argument("--gradient-accumulation", type=int, help="micro-batches in a weight update")
    return p


def main(arguments: list[str] | None = None) -> None:
    p = parser()
    options = p.parse_args(arguments)
    try:
        plan = make_plan(options)
        show_plan(plan)
        written = plan.save_pretrained(options.output)
    except UsageError as error:
        p.error(str(error))
    print(*(f"wrote {path}" for path in written), sep="\n")
    if not plan.fits:
        raise SystemExit(3)


if __name__ == "__main__":
    main()
