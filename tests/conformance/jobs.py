"""The plan half: plans of a case on disk, and beside each what the host half must find.

Runs in the project's environment: `python -m tests.conformance.jobs FOLDER CASE...`, cases by their number.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ipu_partition.api import document, open_model, workshop
from ipu_partition.models import Shapes, example_inputs
from ipu_partition.models.builtin import find
from ipu_partition.plan import PartitionPlan
from ipu_partition.planned import Planned, Workshop, plan_modes
from ipu_partition.request import Request
from ipu_partition.workload import Mode

from .cases import Case, all_cases, modes_of
from .expected import expected, unit_homes
from .saved import document_homes, document_problems, host_document

JOBS = "jobs.json"


def write_jobs(cases: Mapping[int, Case], folder: Path) -> None:
    """A folder with the plan's files for every plan, and a list of all jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [job for number, case in cases.items() for job in jobs_of(case, folder / str(number))]
    (folder / JOBS).write_text(json.dumps(jobs), encoding="ascii")


def jobs_of(case: Case, folder: Path) -> Iterator[dict[str, Any]]:
    """Every model is traced once for each target and mode. `problems`: what of the saved document is wrong. Of a mode:
    `settings`, what the plan says must be set on the configuration for the optimum class; `optimum_only`, whether the
    plain model cannot be cut so; and all of `host_document`."""
    opened: dict[str, tuple[Any, Workshop]] = {}
    for number, (target, keywords) in enumerate(case.plans):
        request = Request(target=target, task=case.rule.task, config=case.config, **case.shapes, **keywords)  # type: ignore[arg-type]
        if target not in opened:
            known = open_model(case.model, dict.fromkeys(request.modes, request))
            opened[target] = (known, workshop(known, suggests=False))
        yield _job(case, request, *opened[target], folder / f"{number}")


def _job(case: Case, request: Request, opened: Any, shop: Workshop, folder: Path) -> dict[str, Any]:
    spec = opened.spec
    assert spec.architecture == case.rule.architecture, f"{spec.architecture} was resolved for {case.name}"
    planned = plan_modes(shop, dict.fromkeys(opened.modes, request))
    plan = document(
        replace(opened, request=request),
        [one.solved.prepared for one in planned.values()],
        {mode: one.plan for mode, one in planned.items()},
    )
    assert plan.fits, f"{case.name} does not fit"
    plan.save(folder)
    saved = PartitionPlan.load(folder)
    options = {name: value for name, value in _keywords(request).items() if name != "ipus"}
    return {
        "case": case.name,
        "architecture": spec.architecture,
        "optimum_class": case.rule.optimum_class,
        "masked_head": case.rule.masked_tokens.module if case.rule.masked_tokens else None,
        "config": {**find(case.model).config, **case.config},  # type: ignore[union-attr]
        "folder": str(folder),
        "target": request.target,
        "ipus": request.ipus,
        "options": options,
        "problems": _problems(case, request, saved, planned),
        "modes": {
            mode.value: {
                "inputs": _inputs(spec, case, mode.value),
                "expected": expected(one.solved, document_homes(saved.mode(mode.value))),
                "settings": {a.name: a.value for a in saved.mode(mode.value).adapters if a.kind == "set-attribute"},
                "optimum_only": bool(one.solved.prepared.layout.origins),
                **host_document(saved.mode(mode.value)),
            }
            for mode, one in planned.items()
        },
    }


def _problems(case: Case, request: Request, saved: PartitionPlan, planned: Mapping[Mode, Planned]) -> list[str]:
    """What the saved document lacks, or says otherwise than what was solved."""
    wanted = [mode for mode in modes_of(case.rule) if mode in [known.value for known in request.modes]]
    problems = [] if list(saved.modes()) == wanted else [f"{list(saved.modes())} are planned, expected {wanted}"]
    for mode, one in planned.items():
        found = document_problems(saved.mode(mode.value), one.solved, unit_homes(one.solved))
        problems += [f"{mode.value}: {problem}" for problem in found]
    return problems


def _keywords(request: Request) -> dict[str, Any]:
    """What differs from a plain request, but for the model."""
    plain, same = Request(), ("target", "task", "config", "sequence_length", "target_length", "audio_seconds")
    found = {name: getattr(request, name) for name in Request.__dataclass_fields__ if name not in same}
    return {name: value for name, value in found.items() if value != getattr(plain, name)}


def _inputs(spec: Any, case: Case, mode: str) -> dict[str, Any]:
    """Type and shape of every input, labels too; the host makes up values."""
    made = example_inputs(spec, Shapes(**case.shapes), training=mode == "training")  # type: ignore[arg-type]
    return {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in made.items()}


if __name__ == "__main__":
    chosen = all_cases()
    write_jobs({int(number): chosen[int(number)] for number in sys.argv[2:]}, Path(sys.argv[1]))
