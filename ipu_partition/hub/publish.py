"""Pushing a configuration to the Hub: one commit, never a README that is there already, never a plan that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import UsageError
from .download import repository
from .failures import explained, offline
from .folder import CARD_NAME, texts

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from ..plan import PartitionPlan

PATIENCE_S = 60.0
"""For each answer of the Hub, whose client waits for ever."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was pushed, or would be."""

    repo: str
    revision: str
    files: tuple[tuple[str, int], ...]
    """Name and bytes."""
    kept: tuple[str, ...]
    """Files that are there and stay as they are; unknown, so empty, in a dry run."""
    url: str | None
    """Of the commit, or of the pull request; None in a dry run."""


@dataclass(frozen=True, slots=True)
class Ask:
    """How to push."""

    repo: str
    private: bool | None = None
    """Of a repository that is made; None: as its owner's default is."""
    revision: str | None = None
    """A branch, made where it is missing; None: main."""
    message: str = "Add an IPU configuration by ipu-partition"
    create_pr: bool = False
    token: str | None = field(default=None, repr=False)
    """None: where `hf auth login` or HF_TOKEN put it."""


def push(
    plan: PartitionPlan,
    ask: Ask,
    *,
    dry_run: bool = False,
    force: bool = False,
    others: Sequence[PartitionPlan] = (),
) -> Pushed:
    """Push the files of `plan` in one commit. A dry run says what would be pushed and touches no network.

    UsageError where the plan does not fit, cannot run or is stale (unless `force`), where the name is none, and for
    whatever the Hub objects to.
    """
    _check_ask(ask)
    if not force:
        _check_plan(plan)
    made = texts(plan, repo=ask.repo, others=others)
    files = {name: text.encode() for name, text in made.items()}
    if dry_run:
        return _pushed(ask, files, (), None)
    return _pushed_to_hub(ask, files)


def _check_ask(ask: Ask) -> None:
    if ask.repo.count("/") != 1 or not repository(ask.repo):
        raise UsageError(f"{ask.repo[:200]!r} is no name of a repository; expected owner/name such as my-org/gpt2-ipu.")
    if ask.revision is not None and not ask.revision.strip():
        raise UsageError("The revision has no name; expected a branch such as main.")
    if not ask.message.strip():
        raise UsageError("The commit message is empty.")


def _check_plan(plan: PartitionPlan) -> None:
    fatal = [finding.text for finding in plan.findings if finding.fatal]
    if fatal:
        raise UsageError(f"The configuration cannot run: {' '.join(fatal)} Push it with force to publish it anyway.")
    if plan.stale:
        raise UsageError(f"The plan is stale: {plan.stale}. Make it again, or push it with force.")
    lacking = [
        f"in {name} IPU {mode.shortfall.ipu} lacks {mode.shortfall.bytes:,} bytes" if mode.shortfall else name
        for name, mode in plan.modes().items()
        if not mode.fits
    ]
    if lacking:
        raise UsageError(
            f"The plan does not fit: {', '.join(lacking)}. Plan it with --fit, or push it with force; the card then "
            "says that it does not fit."
        )


def _pushed(ask: Ask, files: dict[str, bytes], kept: tuple[str, ...], url: str | None) -> Pushed:
    sizes = tuple((name, len(content)) for name, content in sorted(files.items()) if name not in kept)
    return Pushed(ask.repo, ask.revision or "main", sizes, kept, url)


def _pushed_to_hub(ask: Ask, files: dict[str, bytes]) -> Pushed:
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import OfflineModeIsEnabled

    token = ask.token
    try:
        token = token or get_token()
        if token is None:
            raise UsageError("There is no token for the Hub. Log in with `hf auth login`, or set HF_TOKEN.")
        if offline() and not constants.is_offline_mode():  # else the client says so itself
            raise OfflineModeIsEnabled
        with _patience():
            return _committed(HfApi(token=token), ask, files)
    except OfflineModeIsEnabled:
        raise UsageError(f"{ask.repo!r} cannot be pushed to: the Hub is off (HF_HUB_OFFLINE). Try a dry run.") from None
    except Exception as error:  # the Hub's client raises its own, the HTTP library's and OSError
        raise explained(error, f"Pushing to {ask.repo!r}", "write", token) from None


@contextmanager
def _patience() -> Iterator[None]:
    from huggingface_hub import get_session

    session = get_session()
    before, session.timeout = session.timeout, PATIENCE_S
    try:
        yield
    finally:
        session.timeout = before


def _committed(api: HfApi, ask: Ask, files: dict[str, bytes]) -> Pushed:
    """The commit is refused by the Hub where anything changed since its files were listed."""
    from huggingface_hub import CommitOperationAdd

    api.create_repo(ask.repo, private=ask.private, exist_ok=True)
    head, there = _state(api, ask)
    kept = (CARD_NAME,) if any(name.lower() == CARD_NAME.lower() for name in there) else ()
    info = api.create_commit(
        ask.repo,
        [CommitOperationAdd(name, content) for name, content in sorted(files.items()) if name not in kept],
        commit_message=ask.message,
        revision=ask.revision,
        create_pr=ask.create_pr,
        parent_commit=head,
    )
    return _pushed(ask, files, kept, info.pr_url or info.commit_url)


def _state(api: HfApi, ask: Ask) -> tuple[str | None, list[str]]:
    """The newest commit of the branch and the files in it; the branch is made where it is missing."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        info = api.model_info(ask.repo, revision=ask.revision)
    except RevisionNotFoundError:
        if ask.revision is None or ask.create_pr:
            raise
        api.create_branch(ask.repo, branch=ask.revision)
        info = api.model_info(ask.repo, revision=ask.revision)
    return info.sha, [sibling.rfilename for sibling in info.siblings or ()]
