"""train.py --device ipu where there is no IPU: the real optimum-graphcore, and executors that compute on the CPU.

Run as `python ipu_host.py RECORD TRAIN_ARGUMENTS...` under Python 3.8 with optimum-graphcore 0.7.1, and with
`ipu_partition/verify` and the example on PYTHONPATH. The stand-in for PopTorch places ops and computes nothing; what is
added here computes as PopTorch does: a batch holds the micro-batches of all replicas and of the accumulation, and the
optimizer sees their mean gradient. Inputs arrive and logits leave in half precision; between, this CPU needs single.
"""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import poptorch_standin as poptorch
import torch
from PIL import Image

RECORD: dict[str, Any] = {"batches": [], "dtypes": [], "ipus": {}}


class DataLoader(torch.utils.data.DataLoader):
    def __init__(self, options: Any, dataset: Any, batch_size: int = 1, drop_last: bool = True, **others: Any) -> None:
        kept = {name: others[name] for name in ("collate_fn", "sampler", "num_workers") if name in others}
        combined = batch_size * options.device_iterations * options.replication_factor * options.gradient_accumulation
        super().__init__(dataset, batch_size=combined, drop_last=drop_last, **kept)


class AdamW(torch.optim.AdamW):
    def __init__(self, parameters: Any, lr: float, betas: Any, eps: float, **others: Any) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps)
        self.variable_attrs = types.SimpleNamespace(markAsConstant=lambda name: None)


class Executor(poptorch.PoplarExecutor):
    def __init__(self, model: Any, options: Any = None, optimizer: Any = None) -> None:
        super().__init__(model, options, training=optimizer is not None)
        self.optimizer = optimizer
        self.attached = False

    def compile(self, **inputs: torch.Tensor) -> None:
        """Where every parameter is; the stand-in refuses what breaks a rule of the compiler."""
        RECORD["dtypes"].append(sorted({str(value.dtype) for value in inputs.values()}))
        self.model.float()
        super().compile(**{name: value.float() for name, value in inputs.items()})
        assert self.recording is not None
        ipus = {name: list(where) for name, where in self.recording.parameter_ipus().items()}
        RECORD["ipus"]["training" if self.training else "inference"] = ipus
        self.attached = True

    def attachToDevice(self) -> None:
        self.attached = True

    def detachFromDevice(self) -> None:
        self.attached = False

    def isAttachedToDevice(self) -> bool:
        return self.attached

    def copyWeightsToHost(self) -> None:
        """They never left."""

    def setOptimizer(self, optimizer: Any) -> None:
        assert optimizer is self.optimizer

    def __call__(self, **inputs: torch.Tensor) -> Any:
        assert self.attached
        self.model.float()
        out = self.model(**{name: value.float() for name, value in inputs.items()})
        if self.optimizer is not None:
            RECORD["batches"].append(len(inputs["labels"]))
            self.optimizer.zero_grad()
            out.loss.backward()
            self.optimizer.step()
        return {"loss": out.loss.detach(), "logits": out.logits.detach().half()}


class Rows:
    """What train.py uses of a data set of the library `datasets`, which this environment need not have."""

    def __init__(self, folder: Path, transform: Any = None) -> None:
        self.folder, self.transform = folder, transform
        self.rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]

    def with_transform(self, transform: Any) -> Rows:
        return Rows(self.folder, transform)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if key == "labels":
            return [row["labels"] for row in self.rows]
        row = self.rows[key]
        made = self.transform({"image": [Image.open(self.folder / row["file_name"])], "labels": [row["labels"]]})
        return {name: values[0] for name, values in made.items()}


def ranked(labels: Any, scores: Any) -> float:
    """`sklearn.metrics.roc_auc_score`, by its definition."""
    return float(np.mean([(a > b) + 0.5 * (a == b) for a in scores[labels] for b in scores[~labels]]))


def stand_in() -> None:
    """Before anything imports PopTorch."""
    poptorch.DataLoader, poptorch.trainingModel, poptorch.inferenceModel = DataLoader, Executor, Executor
    poptorch.ipuHardwareVersion = lambda: 21
    poptorch.install()
    poptorch.optim.AdamW = AdamW


def made_up(name: str, **members: Any) -> None:
    """A module that this environment need not have."""
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules.update({name.split(".")[0]: types.ModuleType(name.split(".")[0]), name: module})


def main(record: str, arguments: list[str]) -> None:
    stand_in()
    import optimum.graphcore  # noqa: F401 (looks which packages there are, before some are made up)

    made_up("sklearn.metrics", roc_auc_score=ranked)
    made_up("matplotlib.figure", Figure=None)
    import train

    train.load_splits = lambda folder, cache: {split: Rows(folder / split) for split in ("train", "validation")}
    train.plot_loss = lambda history, path: None
    train.main(arguments)
    Path(record).write_text(json.dumps(RECORD))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main(sys.argv[1], sys.argv[2:])
