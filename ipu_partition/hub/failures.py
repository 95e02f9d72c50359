"""What the Hub's client raises, in plain words. No token is ever in them."""

from __future__ import annotations

import json
import os
import re

from ..errors import SAID, UsageError, one_line

_SECRET = re.compile(r"hf_\w+|(?i:bearer)\s+\S+")
_LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may {do} there."
_REASONS = {
    400: "the Hub calls the request wrong",
    401: "the Hub does not accept the token, or there is none",
    402: "the Hub wants a payment for that",
    403: "the token has no permission for that",
    404: "there is no such repository or revision that the token can see",
    409: "the Hub is busy with another change of it",
    412: "somebody else changed it at the same time",
    413: "the Hub finds it too large",
    429: "the Hub wants fewer requests",
}
"""By HTTP status."""
_TRY = {
    401: _LOG_IN,
    403: _LOG_IN,
    404: f"Check the name. {_LOG_IN}",
    409: "Try again.",
    412: "Try again.",
    429: "Wait a little.",
}


def explained(error: Exception, what: str, do: str, secret: str | None = None) -> UsageError:
    """`error` came while `what` was done ("Pushing to a/b"). The token must allow to `do` that, which is read or write;
    `secret` is never repeated."""
    if isinstance(error, UsageError):
        return error
    status = _status(error)
    reason = _REASONS.get(status) or _unreachable(error, status, secret)
    advice = _TRY.get(status, "Try again later." if status >= 500 else "").format(do=do)
    said = _server_words(error, secret)
    return UsageError(" ".join(part for part in (f"{what} failed: {reason}{said}.", advice) if part))


def offline() -> bool:
    """Whether the Hub is switched off. The client reads the variable when it is imported, we when it matters too."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _status(error: Exception) -> int:
    """0 where the Hub did not answer."""
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)


def _unreachable(error: Exception, status: int, secret: str | None) -> str:
    if status >= 500:
        return f"the Hub has a problem of its own (status {status})"
    if "Timeout" in type(error).__name__ or isinstance(error, TimeoutError):
        return "the Hub did not answer in time"
    words = plain(str(error), secret)
    if isinstance(error, LookupError | TypeError | AttributeError | json.JSONDecodeError):
        return f"what answers is no Hub ({type(error).__name__}: {words})"
    return words or type(error).__name__


def _server_words(error: Exception, secret: str | None) -> str:
    words = plain(str(getattr(error, "server_message", None) or ""), secret)
    return f" ({words})" if words else ""


def plain(text: str, secret: str | None = None) -> str:
    """On one line, short, without `secret` and whatever looks like a token."""
    hidden = text.replace(secret, "***") if secret else text
    return one_line(_SECRET.sub("***", hidden), SAID).rstrip(".")
