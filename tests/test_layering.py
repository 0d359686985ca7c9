"""The arrows of the design, read from the imports; and that the command line starts without torch."""

from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import isthmus

ROOT = Path(isthmus.__file__).parent

ARROWS = {
    "cli": {"cli", "runs", "sweeps", "tasks", "reports"},
    "sweeps": {"sweeps", "runs"},
    "api": {"tasks", "runs", "notebook"},
    "estimator": {"tasks", "runs"},
    "notebook": {"notebook", "tasks", "runs", "training"},
    "tasks": {"tasks", "runs", "training", "data"},
    "reports": {"reports", "runs", "training"},
    "runs": {"runs", "training", "data"},
    "training": {"training"},
    "data": {"data"},
    "core": {"core"},
    "common": {"common"},
}
MAY_USE_CORE = {"tasks", "runs", "training", "data", "core"}

HEAVY = {
    *("torch", "torchvision", "torchmetrics", "pytorch_lightning", "lightning_fabric", "tensorboard"),
    *("numpy", "scipy", "sklearn", "pandas", "pyarrow", "PIL", "safetensors"),
}
LIGHT = {
    *(
        "isthmus.runs",
        "isthmus.runs.config.compose",
        "isthmus.runs.config.validation",
        "isthmus.common.errors",
    ),
    "isthmus.runs.show",
    "isthmus.reports.report",
    *(f"isthmus.runs.config.{name}" for name in ("allowlist", "destinations", "keys", "overrides")),
    *(f"isthmus.runs.comparison.{name}" for name in ("provenance_diff", "verdict")),
    "isthmus.runs.folder.untrusted",
}


def name_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imported(name, tree, *, at_module_level):
    """Full names of what is imported; at module level, what runs when the module is imported."""
    names = set()
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if at_module_level and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_for_types(node)
        ):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} has a relative import, which hides its arrow"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in FILES else str(node.module))
        waiting += ast.iter_child_nodes(node)
    return names


TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
EVERYWHERE = {name: imported(name, tree, at_module_level=False) for name, tree in TREES.items()}
AT_START = {name: imported(name, tree, at_module_level=True) for name, tree in TREES.items()}


def layer(name):
    parts = name.split(".")
    return parts[1] if parts[0] == "isthmus" and len(parts) > 1 else None


def started(name):
    """Everything that importing `name` imports with it: its packages, and what these import."""
    seen, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module in FILES:
            parts = module.split(".")
            waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
            waiting += AT_START[module]
    return seen


def top(names):
    return {name.split(".")[0] for name in names}


def test_every_folder_has_its_arrows():
    assert {layer(name) for name in FILES if layer(name) != "__main__"} - {None} <= set(ARROWS)


@pytest.mark.parametrize("name", [name for name in FILES if layer(name) in ARROWS])
def test_arrows(name):
    allowed = ARROWS[layer(name)] | {"common"} | ({"core"} if layer(name) in MAY_USE_CORE else set())
    own = {other for other in EVERYWHERE[name] if other.split(".")[0] == "isthmus"}
    against = {other for other in own - {"isthmus"} if layer(other) not in allowed}
    assert not against, f"{name} must not import {', '.join(sorted(against))}"


@pytest.mark.parametrize("package", ["cli", "common", "core", "data", "reports", "runs", "tasks"])
def test_the_entries_of_a_package_stand_on_at_most_five_floors(package):
    inside = f"isthmus.{package}."
    imports = {}
    for name in [name for name in FILES if name.startswith(inside)]:
        entry, *others = (
            other.removeprefix(inside).partition(".")[0]
            for other in (name, *EVERYWHERE[name])
            if other.startswith(inside)
        )
        imports[entry] = imports.get(entry, set()) | {*others} - {entry}
    sorter = TopologicalSorter(imports)
    sorter.prepare()  # raises CycleError if an arrow points back
    floors = 0
    while sorter.is_active():
        sorter.done(*sorter.get_ready())
        floors += 1
    assert floors <= 5


@pytest.mark.parametrize("name", [name for name in FILES if layer(name) == "core"])
def test_the_core_imports_nothing_but_torch(name):
    assert top(EVERYWHERE[name]) - sys.stdlib_module_names <= {"torch", "isthmus"}


@pytest.mark.parametrize("name", [name for name in FILES if layer(name) == "cli" or name in LIGHT])
def test_the_command_line_imports_nothing_heavy(name):
    assert not top(started(name)) & HEAVY


@pytest.mark.parametrize("name", ["isthmus.cli.main", "isthmus.cli.train", *sorted(LIGHT)])
def test_hydra_is_imported_by_functions_alone(name):
    assert "hydra" not in top(started(name))


WITHOUT = {"pytorch_lightning", "lightning_fabric", "torchmetrics", "hydra", "omegaconf", "tensorboard"}


@pytest.mark.parametrize("name", ["isthmus.api"])
def test_a_trained_model_is_opened_without_what_trains(name):
    assert not top(started(name)) & (WITHOUT | {"sklearn", "scipy", "pandas", "pyarrow", "PIL"})


@pytest.mark.parametrize("task", ["embedding.embed", "denoising.measuring", "exporting.export", "detect"])
def test_a_task_on_the_data_of_a_run_starts_without_lightning(task):
    names = started("isthmus.runs.run_data") | started(f"isthmus.tasks.{task}")
    assert not top(names) & (WITHOUT - {"omegaconf"})


@pytest.mark.parametrize("arguments", ["--help", "train --help", "train --cfg job", "--version"])
def test_starts_without_torch(arguments, importing, tmp_path):
    printed, modules = importing(*arguments.split(), cwd=tmp_path)
    assert printed
    assert "isthmus.cli.main" in modules
    assert not top(modules) & HEAVY
    assert "hydra" not in top(modules) or "--cfg" in arguments
    assert not list(tmp_path.iterdir())
