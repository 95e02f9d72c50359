"""From fields as they were written to a `PretrainedConfig`, with nothing executed but Transformers' own code."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from ..errors import UsageError
from .limits import check_fields
from .overrides import UNPLANNED, canonical, check_known, merge
from .source import Origin

_METADATA = frozenset({"model_type", "auto_map", "transformers_version", "attribute_map", "name_or_path", *UNPLANNED})


def from_origin(origin: Origin, overrides: Mapping[str, Any], trust_remote_code: bool) -> tuple[Any, tuple[str, ...]]:
    """The configuration and what to warn about.

    Raises:
        UsageError: an unknown kind of model, code that is not trusted, or fields its class refuses.
    """
    remote = origin.fields.get("auto_map")
    if remote and not trust_remote_code:
        raise UsageError(
            f"The configuration of {origin.name!r} names code of its own to run (auto_map: {str(remote)[:200]}). Give "
            "trust_remote_code=True if you have read that code and trust it, or a copy of config.json without auto_map."
        )
    if isinstance(remote, Mapping) and "AutoConfig" in remote:
        return overridden(_remote_config(origin), overrides), ()
    return from_fields(origin.name, origin.fields, overrides)


def from_fields(name: str, fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The configuration of these fields (with `model_type`), and what to warn about. Raises: UsageError."""
    config_class = _config_class(name, fields.get("model_type"))
    written = _attributes(name, fields, config_class)
    check_known(overrides, config_class, written)
    wanted = merge(written, overrides, config_class)
    try:
        config = config_class(**wanted)
    except Exception as error:  # whatever a configuration class raises for values it does not expect
        raise UsageError(f"{config_class.__name__} refuses the configuration of {name!r}: {_reason(error)}") from None
    return config, _reapply(config, wanted)


def overridden(config: Any, overrides: Mapping[str, Any]) -> Any:
    """A copy of a configuration with the overrides set. Raises: UsageError."""
    present = vars(config)
    check_known(overrides, type(config), present)
    check_fields({name: value for name, value in present.items() if not name.startswith("_")}, type(config).__name__)
    changed = deepcopy(config)
    for name, value in canonical(overrides, type(config)).items():
        try:
            setattr(changed, name, value)
        except Exception as error:  # as above
            raise UsageError(f"{type(config).__name__} refuses {name}={value!r}: {_reason(error)}") from None
    return changed


def _config_class(name: str, model_type: object) -> type:
    from transformers import CONFIG_MAPPING

    if not isinstance(model_type, str):
        raise UsageError(
            f'The configuration of {name!r} has no model_type, so its architecture is unknown; add one (e.g. "bert").'
        )
    if model_type not in CONFIG_MAPPING:
        close = get_close_matches(model_type, list(CONFIG_MAPPING), n=3)
        near = f" Did you mean {' or '.join(close)}?" if close else ""
        raise UsageError(f"The installed Transformers knows no model_type {model_type[:80]!r} (of {name!r}).{near}")
    found: type = CONFIG_MAPPING[model_type]
    return found


def _attributes(name: str, fields: Mapping[str, Any], config_class: type) -> dict[str, Any]:
    """Without metadata and private names; a field may not take the place of a method."""
    kept = {key: value for key, value in fields.items() if not key.startswith("_") and key not in _METADATA}
    methods = [key for key in kept if callable(getattr(config_class, key, None))]
    if methods:
        raise UsageError(
            f"The configuration of {name!r} has a field {methods[0]!r}, which is a method of {config_class.__name__}."
        )
    return kept


def _reapply(config: Any, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Sets again the plain values that the class replaced while it was constructed.

    Transformers 5 does so where it disagrees with published configurations (MT5Config ties its embeddings, whatever
    they say), while 4.29.2 on an IPU host builds what is written.
    """
    warnings = []
    for name, value in sorted(wanted.items()):
        actual = vars(config).get(name)
        if _kind(value) is None or _kind(value) != _kind(actual) or actual == value:
            continue
        setattr(config, name, value)
        warnings.append(
            f"{type(config).__name__} of the installed Transformers replaces {name}={value!r} by {actual!r}; planned "
            "as the configuration says."
        )
    return tuple(warnings)


def _kind(value: object) -> type | None:
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, (int, float)) else str if isinstance(value, str) else None


def _remote_config(origin: Origin) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            origin.folder or origin.name, trust_remote_code=True, revision=origin.revision
        )
    except Exception as error:  # whatever the code of others raises
        raise UsageError(f"The configuration code of {origin.name!r} failed: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
