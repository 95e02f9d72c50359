"""Configurations nobody should trust: a clear refusal in bounded time, nothing run, nothing allocated."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipu_partition.errors import UsageError
from ipu_partition.models import Shapes, build, example_inputs, resolve

Folder = Callable[..., Path]


def _all_the_way(path: Path, **options: Any) -> None:
    spec = resolve(path, **options)
    build(spec, training=True)
    example_inputs(spec, Shapes(), training=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"a": ',
        b"[1, 2]",
        b"null",
        b'"text"',
        b"\x00" * 64,
        "{}".encode("utf-16"),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a": ' * 50_000 + b"1" + b"}" * 50_000,
        b'{"model_type": "bert", "x": ' + b"[" * 60 + b"]" * 60 + b"}",
        b'{"model_type": "bert", "hidden_size": ' + b"9" * 5000 + b"}",
        b" " * 10_000_001,
    ],
)
def test_files_that_are_no_configuration(folder: Folder, content: bytes) -> None:
    with pytest.raises(UsageError, match=r"config\.json"):
        resolve(folder(content))


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": None},
        {"model_type": 5},
        {"model_type": ["bert"]},
        {"model_type": "brt"},
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 2001},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "12"},
        {"num_hidden_layers": 2.5},
        {"num_hidden_layers": None},
        {"hidden_size": -768},
        {"hidden_size": 10**30},
        {"vocab_size": 0},
        {"num_attention_heads": 0},
        {"num_attention_heads": 7},
        {"num_labels": 10**9},
        {"max_position_embeddings": 10**12},
        {"hidden_act": "../../etc/passwd"},
        {"id2label": "x"},
        {"pad_token_id": 10**9},
        {"hidden_dropout_prob": 7.0},
        {"to_dict": "x"},
        {"experts_implementation": "x"},
        {"hidden_size": 960_000, "num_attention_heads": 12},
        {"model_type": "mixtral", "num_local_experts": 10**9},
        {"model_type": "mixtral", "num_local_experts": 100_000, "num_hidden_layers": 2000, "hidden_size": 8},
        {"model_type": "convnext", "depths": [3, 3, 10**9, 3]},
        {"model_type": "wav2vec2", "conv_dim": [512, -1], "conv_kernel": [3, 3], "conv_stride": [1, 1]},
        {"model_type": "clip", "text_config": {"num_hidden_layers": 10**9}},
    ],
    ids=str,
)
def test_fields_that_are_refused(folder: Folder, fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        _all_the_way(folder({"model_type": "bert", **fields}))


@pytest.mark.parametrize("model_type", ["bert", "evil"])
@pytest.mark.parametrize(
    "reference", [{"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}, "evil.Evil", ["evil.Evil"]]
)
def test_code_beside_a_configuration_is_not_run(folder: Folder, model_type: str, reference: object) -> None:
    path = folder(model_type=model_type, auto_map=reference)
    (path / "evil.py").write_text(f"open({str(path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    with pytest.raises(UsageError, match=r"trust_remote_code=True.*trust it"):
        resolve(path)
    assert not (path / "ran").exists()


def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "config.json"
    os.mkfifo(pipe)
    for path in ("/dev/zero", pipe, tmp_path):
        with pytest.raises(UsageError, match="not a regular file"):
            resolve(path)


def test_what_a_configuration_calls_its_precision_is_ignored(folder: Folder) -> None:
    for name in ("float16", "nn", "__import__"):
        model, _ = build(resolve(folder(model_type="bert", num_hidden_layers=1, torch_dtype=name)), training=False)
        assert {str(p.dtype) for p in model.parameters()} == {"torch.float32"}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 3000) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(
    [
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "vocab_size",
        "hidden_act",
        "intermediate_size",
        "id2label",
        "architectures",
        "pad_token_id",
        "is_decoder",
        "problem_type",
        "rope_scaling",
        "attn_implementation",
        "dtype",
        "conv_dim",
        "depths",
        "image_size",
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model_type=st.sampled_from(["bert", "gpt2", "vit", "wav2vec2", "whisper", "convnext"]),
    fields=st.dictionaries(_FIELDS, _VALUES, max_size=3),
)
def test_any_other_fields_are_accepted_or_refused(folder: Folder, model_type: str, fields: dict[str, Any]) -> None:
    with contextlib.suppress(UsageError):
        _all_the_way(folder({**fields, "model_type": model_type}))
