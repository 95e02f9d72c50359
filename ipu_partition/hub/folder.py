"""The files of a configuration, as the repositories of Graphcore on the Hub have them, on this disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .model_card import card, is_untouched

if TYPE_CHECKING:
    from ..plan import PartitionPlan

CARD_NAME = "README.md"


def texts(plan: PartitionPlan, *, repo: str | None = None, others: Sequence[PartitionPlan] = ()) -> dict[str, str]:
    """File name: text. `parallelize.py` is among them only where `ipu_config.json` cannot say the cut.

    UsageError for a document that holds findings and no plan.
    """
    from ..emit.python_source import MODULE_NAME, python_source
    from ..ipu_config import CONFIG_NAME
    from ..plan import PLAN_NAME

    code = {} if plan.expressible else {MODULE_NAME: python_source(plan)}
    config = plan.ipu_config().to_json()
    return {CONFIG_NAME: config, PLAN_NAME: plan.to_json(), CARD_NAME: card(plan, repo=repo, others=others), **code}


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a folder's files."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    """They were there, and are as they were."""


def save(
    plan: PartitionPlan, directory: str | Path, *, repo: str | None = None, others: Sequence[PartitionPlan] = ()
) -> Saved:
    """Write :func:`texts` into `directory`, all or none. A README.md that is there stays, unless it is a card that was
    written here and that nobody touched; other files are not touched.

    UsageError where the folder cannot be written.
    """
    from ..emit.files import write_all
    from ..emit.python_source import MODULE_NAME, is_generated, python_source

    made = texts(plan, repo=repo, others=others)
    if MODULE_NAME not in made and is_generated(Path(directory) / MODULE_NAME):  # of another plan, which ends here
        made[MODULE_NAME] = python_source(plan)
    written = write_all(directory, made, keep=kept(directory))
    names = {path.name for path in written}
    return Saved(written, tuple(Path(directory) / name for name in sorted(made) if name not in names))


def kept(directory: str | Path) -> tuple[str, ...]:
    """Files that must stay where they are there: a README.md, unless it is a card of ours that nobody touched."""
    file = Path(directory) / CARD_NAME
    try:
        untouched = not file.is_symlink() and is_untouched(file.read_bytes().decode())
    except (OSError, ValueError):
        untouched = False
    return () if untouched else (CARD_NAME,)


def opened(source: str | Path, *, stale: bool = False) -> PartitionPlan:
    """The plan in a file, or in a folder whose `ipu_config.json` says the same.

    UsageError where there is none, it was edited, it is stale (unless `stale`), or the folder's configuration differs.
    """
    from ..ipu_config import CONFIG_NAME, IPUConfig
    from ..plan import PartitionPlan

    plan = PartitionPlan.load(source, stale=stale)
    file = Path(source) / CONFIG_NAME
    if Path(source).is_dir() and file.exists() and not _same(IPUConfig.from_pretrained(file), plan):
        raise UsageError(
            f"{file} says something else than the plan beside it. Make the plan with the options you want, or write "
            "the folder again."
        )
    return plan


def _same(config: object, plan: PartitionPlan) -> bool:
    return bool(plan.modes()) and config == plan.ipu_config()


def own_card(source: str | Path, plan: PartitionPlan, repo: str) -> bool:
    """Whether the folder `source` holds a README.md that is not the card of the plan."""
    file = Path(source) / CARD_NAME
    if not file.is_file():
        return False
    ours = [card(plan, repo=place).encode() for place in (None, repo)]
    return file.stat().st_size not in map(len, ours) or file.read_bytes() not in ours
