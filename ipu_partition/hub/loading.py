"""The part of a model card that says how the folder is used: code to copy, made of names that may stand in code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .download import repository
from .escape import escaped, identifier

if TYPE_CHECKING:
    from ..plan import PartitionPlan

_HERE = "path/to/this/folder"
_TRAINER = """\
```python
from optimum.graphcore import IPUConfig, IPUTrainer, IPUTrainingArguments
from transformers import {auto}

ipu_config = IPUConfig.from_pretrained("{place}")
model = {auto}.from_pretrained({model})
args = IPUTrainingArguments(output_dir="out", {arguments})
trainer = IPUTrainer(model=model, ipu_config=ipu_config, args=args, train_dataset=train_dataset)
trainer.train()
```
"""
_OVERRIDES = """
What the file says of replicas and accumulation gives way to `n_ipu` and `gradient_accumulation_steps` of the \
arguments. Accumulation below {least} cannot be compiled for this pipeline.
"""
_GENERATED = """\
This cut is none that `ipu_config.json` can say{because}: with that file alone, layers go where optimum-graphcore puts \
them. `parallelize.py` carries the cut. It needs Python 3.8 or later, torch and poptorch, and nothing else; fetch it\
{fetch}, and read it before you run it.

```python
import poptorch
from parallelize import options, parallelize
{load}
parallelize(model)
runner = poptorch.{runner}
```
"""
_OF_TRANSFORMERS = """\
from transformers import {auto}

model = {auto}.from_pretrained({model}).{mode}()"""
_OF_ITS_OWN = """\

model = ...  # your own {kind}, after model.{mode}()"""


def loading(plan: PartitionPlan, repo: str | None) -> str:
    """How `IPUTrainer` takes the configuration, or how `parallelize.py` cuts the model. `repo` None: from a folder."""
    names = {
        "auto": identifier(plan.model.architecture) or "AutoModel",
        "model": ", ".join([json.dumps(hub_id(plan) or "path/to/your/model"), *_fields(plan)]),
        "place": repo or _HERE,
    }
    if plan.expressible:
        return _trainer(plan, names)
    because = "" if plan.optimum_class else ", since optimum-graphcore has no pipelined class for this model"
    mode = next(iter(plan.modes()), "training")
    train, evaluate = "trainingModel(model, options(training=True), optimizer)", "inferenceModel(model, options(False))"
    training = mode == "training"
    names |= {"mode": "train" if training else "eval", "runner": train if training else evaluate}
    names["kind"] = identifier(plan.model.architecture) or "model"
    names["load"] = (_OF_ITS_OWN if plan.model.transformers_version is None else _OF_TRANSFORMERS).format(**names)
    fetch = f" with `hf download {repo} parallelize.py --local-dir .`" if repo else ""
    return _GENERATED.format(because=because, fetch=fetch, **names)


def hub_id(plan: PartitionPlan) -> str | None:
    """The model's repository, where that is a name the Hub can have."""
    found = plan.model.hub_id
    return found if found is not None and repository(found) else None


def _fields(plan: PartitionPlan) -> Iterator[str]:
    """What the user set of the configuration, as arguments: literals alone."""
    for name, value in sorted(plan.model.config.items()):
        if identifier(name):
            yield f"{name}={value!a}"


def _trainer(plan: PartitionPlan, names: dict[str, str]) -> str:
    modes = plan.modes()
    sizes = {"training": "per_device_train_batch_size", "inference": "per_device_eval_batch_size"}
    arguments = ", ".join(f"{sizes[name]}={mode.workload.micro_batch_size}" for name, mode in modes.items())
    text = _TRAINER.format(arguments=arguments, **names)
    text = f"`IPUTrainer` makes of the model a {escaped(plan.optimum_class or '')}.\n\n{text}"
    training = modes.get("training")
    return text + (_OVERRIDES.format(least=training.minimum_accumulation) if training else "")
