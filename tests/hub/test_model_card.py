"""The model card: what it says, that it is valid, and that no name can become markup, metadata or code."""

from __future__ import annotations

import ast
import re
from types import ModuleType
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from ipu_partition import hub
from ipu_partition.hub.escape import escaped, identifier
from ipu_partition.plan import PartitionPlan
from tests.plans_edit import edited

HOSTILE = [
    "a\n---\nlicense: mit\n---\n# owned",
    "<script>alert(1)</script>",
    "x | y | z",
    "```\ncode\n```",
    "`tick` **bold** _em_ [link](http://evil) ![i](x)",
    "a\r\n\r\n# heading",
    "www.evil.example @someone #1 https://evil.example",
    '"); import os; os.system("x") #',
    "{plan.model} {0} %s",
    "\u202eright to left\u200b \x1b[31mred",
    "&lt;b&gt; &amp;",
    "$$x^2$$ ~~no~~ \\| \\`",
    "x" * 10_000,
    "\ud800",
    "",
]


def _with_names(plans: ModuleType, text: str) -> PartitionPlan:
    """Every name that comes from outside is `text`."""
    data = plans.deberta().model_dump(mode="json")
    for name in ("name", "architecture", "task", "hub_id", "revision", "transformers_version", "model_type"):
        data["model"][name] = text
    data["model"]["shapes"] = {text: 3, "input": {"dtype": text}}
    data["machine"]["name"] = text
    data["warnings"] = [text, text + "!"]
    for mode in ("training", "inference"):
        for stage in data[mode]["stages"]:
            stage["modules"] = [f"{text}.{at}" for at in range(3)] + [text]
        data[mode]["workload"] |= {"optimizer": text, "precision": text}
        for ipu in data[mode]["ipus"]:
            ipu["memory"]["terms"][text] = ipu["memory"]["terms"].pop("weights")
    return edited(data)


def _body(text: str) -> str:
    return text.split("\n---\n", 1)[1]


def test_what_it_says(plans: ModuleType) -> None:
    text = hub.card(plans.gpt2_medium(), repo="some-org/gpt2-medium-ipu")
    for said in (
        "holds **no weights**",
        "[openai-community/gpt2-medium](https://huggingface.co/openai-community/gpt2-medium)",
        "| training | mk2 | 8 | 2 | fits; the fullest is IPU 0 with 75.9 % |",
        "### Training, `layers_per_ipu` [1, 3, 3, 3, 4, 4, 3, 3]",
        "| 1 | 1 | transformer.h.1-3 |",
        "| 8 | 0 | lm_head |",
        "| 0 | 680.0 MiB | 896.5 MiB | 75.9 % | optimizer 360.0, weights 120.0, activations 90.0 |",
        "| training | mk2 | 2 | 636.9 | 1.570 ms | - | 410.000 ms |",
        "| inference | mk2 | 1 | 636.9 | - | 9.000 ms | - |",
        'IPUConfig.from_pretrained("some-org/gpt2-medium-ipu")',
        'GPT2LMHeadModel.from_pretrained("openai-community/gpt2-medium")',
        "Accumulation below 17 cannot be compiled",
        "Nothing here was measured on an IPU",
        "optimum-graphcore 0.7.1",
        f"plan {plans.gpt2_medium().fingerprint()}, schema 3",
    ):
        assert said in text, said
    assert "parallelize.py" not in text


def test_what_does_not_fit_is_said_with_its_bytes(plans: ModuleType) -> None:
    text = hub.card(plans.not_fitting())
    assert "**does not fit**: IPU 1 lacks 349,748,480 bytes (333.5 MiB)" in text
    assert "| training | mk2 | 1 | - | - | - | - |" in text


def test_rates_of_other_machines_stand_beside(plans: ModuleType) -> None:
    data = plans.gpt2_medium().model_dump(mode="json")
    data["machine"]["name"] = "bow"
    data["training"]["predicted"] |= {"samples_per_second": 890.5, "cycle_us": 1123.0}
    bow = PartitionPlan.model_validate(data)
    text = hub.card(plans.gpt2_medium(), others=[bow])
    assert "| training | mk2 | 2 | 636.9 | 1.570 ms | - | 410.000 ms |" in text
    assert "| training | bow | 2 | 890.5 | 1.123 ms | - | 410.000 ms |" in text
    assert text.count("### Training") == 1


def test_a_cut_that_needs_code_says_how_it_is_used(plans: ModuleType) -> None:
    text = hub.card(plans.deberta(), repo="some-org/deberta-ipu")
    assert "from parallelize import options, parallelize" in text
    assert "`hf download some-org/deberta-ipu parallelize.py --local-dir .`" in text
    assert "read it before you run it" in text
    assert "layers_per_ipu" not in text
    assert "IPUTrainer" not in text
    assert ModelCard(text).data.library_name == "poptorch"


@pytest.mark.parametrize("name", ["gpt2_medium", "deberta", "bart", "inference_only", "not_fitting", "hopeless"])
def test_metadata_is_valid_and_code_is_code(plans: ModuleType, name: str) -> None:
    text = hub.card(plans.ALL[name](), repo="some-org/x-ipu")
    data = ModelCard(text).data.to_dict()
    assert data["base_model"] == "openai-community/gpt2-medium"
    assert {"graphcore", "ipu"} <= set(data["tags"])
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    ast.parse(code)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_names_from_outside_stay_text(plans: ModuleType, text: str) -> None:
    card = hub.card(_with_names(plans, text), repo="some-org/x-ipu")
    plain = hub.card(_with_names(plans, "plain words"), repo="some-org/x-ipu")
    card.encode()
    assert yaml.safe_load(card.split("---\n")[1]) == {
        "library_name": "poptorch",
        "tags": ["graphcore", "ipu", "ipu-partition", "poptorch"],
    }
    assert "\r" not in card
    assert _structure(_body(card)) == _structure(_body(plain))
    for mark in ("<script", "](http", "http://evil", "https://evil", "![", "www.", "$$", "@some", "\u202e", "\x1b"):
        assert mark not in card.replace("https://huggingface.co", "")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert [type(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert "os.system" not in code


def _structure(body: str) -> list[str]:
    """What Markdown makes of a text, the words left out."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    inner = [[token.type, *(child.type for child in token.children or ())] for token in tokens]
    return [kind for kinds in inner for kind in kinds if kind not in ("text", "text_special")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("transformer.h.0-2", "transformer.h.0-2"),
        ("qa_outputs", "qa_outputs"),
        ("_x_", "&#95;x&#95;"),
        ("a|b", "a&#124;b"),
        ("<b>", "&#60;b&#62;"),
        ("a: b", "a: b"),
        ("http://x", "http&#58;//x"),
        ("www.x", "&#119;ww.x"),
        ("a\nb", "a&#92;nb"),
        ("x" * 200, "x" * 157 + "..."),
    ],
)
def test_escaping(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize("text", [None, "", "a b", "a.b", "class", "é", "x\n", "os;x"])
def test_what_is_no_identifier(text: Any) -> None:
    assert identifier(text) is None
    assert identifier("BertModel") == "BertModel"


def test_the_same_plan_gives_the_same_bytes(plans: ModuleType) -> None:
    assert hub.texts(plans.bart()) == hub.texts(plans.bart())
    slower = plans.bart().model_dump(mode="json")
    slower["training"]["solution"]["seconds"] = 99.0
    assert hub.card(PartitionPlan.model_validate(slower)) == hub.card(plans.bart())
