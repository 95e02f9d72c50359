"""The arrows between rooms only go down, and importing the package stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("ipu_partition", "planners")

LEVELS = {
    "cli": 10, "__main__": 10, "commands": 9, "batch": 9, "api": 8, "__init__": 8, "checked": 8, "compared": 8,
    "engine": 8, "explanation": 8, "planned": 7, "fit": 7, "assemble": 7, "verify": 7, "rates": 6, "levers": 6,
    "blocks": 6, "order": 6, "reopen": 6, "solve": 5, "overrule": 5, "modules": 5, "hosted": 5, "devices": 5,
    "asked": 5, "split": 5, "prepare": 4, "layout": 3, "proportions": 3, "handwritten": 3, "hub": 3, "declared": 3,
    "difference": 3, "emit": 3, "report": 3, "host": 2, "conflicts": 2, "machine": 2, "models": 2, "plan": 2,
    "ipu_config": 2, "cost": 1, "plan_parts": 1, "verified_parts": 1, "answer": 1, "request": 1, "demands": 1,
    "arguments": 1, "trace": 0, "families": 0, "document": 0, "structure": 0, "basis": 0, "migrations": 0,
    "workload": 0, "errors": 0, "progress": 0, "testing": 0, "threads": 0,
}  # fmt: skip
"""A room may import rooms on its own level or below."""
LAZY_UP = {
    ("plan", "emit"), ("plan", "hub"), ("ipu_config", "emit"), ("ipu_config", "hub"), ("ipu_config", "handwritten"),
    ("models", "families"), ("plan", "verify"), ("emit", "devices"), ("emit", "hosted"), ("emit", "reopen"),
    ("emit", "split"),
}  # fmt: skip
"""Imports inside functions that go sideways: documents save themselves, the default task is the family table's."""

SOLVERS = {"highspy", "numba", "ortools"}
"""Optional; imported only inside the functions that solve with them."""


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _room(path: Path) -> str:
    parts = path.relative_to(ROOT / "ipu_partition").parts
    return parts[0].removesuffix(".py")


def _imports(tree: ast.AST, path: Path) -> Iterator[tuple[str, bool]]:
    """(absolute module, at module level and not for type checking only)"""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    skipped = {
        id(n)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for n in ast.walk(block)
    }
    inner = {
        id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inner
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module, id(node) not in inner
            if node.module is None or not node.level:
                for alias in node.names:
                    yield f"{module}.{alias.name}", id(node) not in inner


@pytest.mark.parametrize("path", sorted((ROOT / "ipu_partition").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_go_down(path: Path) -> None:
    room = _room(path)
    assert room in LEVELS, f"give the new room {room!r} its level"
    for module, top in _imports(ast.parse(path.read_text()), path):
        parts = module.split(".")
        if parts[0] != "ipu_partition" or len(parts) < 2 or parts[1] not in LEVELS:
            continue
        if not top and (room, parts[1]) in LAZY_UP:
            continue
        assert LEVELS[parts[1]] <= LEVELS[room], f"{room} imports {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "planners").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_planners_is_a_leaf(path: Path) -> None:
    known = sys.stdlib_module_names | {"numpy", "planners", "__future__"}
    for module, top in _imports(ast.parse(path.read_text()), path):
        assert module.split(".")[0] in (known if top else known | SOLVERS)


@pytest.mark.parametrize("path", list(_files()), ids=lambda p: str(p.relative_to(ROOT)))
def test_poptorch_is_imported_only_where_blocks_are_applied(path: Path) -> None:
    modules = {module.split(".")[0] for module, _ in _imports(ast.parse(path.read_text()), path)}
    applying = path.parent.name == "emit"
    assert applying or "poptorch" not in modules


@pytest.mark.parametrize(
    "code",
    [
        "import ipu_partition",
        "import planners",
        "import ipu_partition.testing",
        "import ipu_partition.models, ipu_partition.families, ipu_partition.cost, ipu_partition.machine",
        "from ipu_partition.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from ipu_partition.cli import main\nmain(['models'])",
        "from ipu_partition.cli import main\nmain(['check', '--model', 'gpt2', '--ipu-config', 'nowhere'])",
        "from ipu_partition import check, compare",
    ],
)
def test_light_imports_stay_light(code: str) -> None:
    check = code + "\nimport sys; print([m for m in ('torch', 'transformers') if m in sys.modules], file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stderr.strip().endswith("[]")
