"""What goes beside exported files: model.json for programs, README.txt for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus import __version__
from isthmus.common.messages import escaped
from isthmus.tasks.exporting.graphs import Graph
from isthmus.tasks.exporting.preprocessing import Field
from isthmus.tasks.exporting.rows import SHOWN
from isthmus.tasks.exporting.table_preprocessing import MISSING, UNSEEN

REFUSED = (
    "A row that isthmus would refuse (a value that is missing, infinite or out of range) has NaN in all "
    "outputs that are numbers, no text, and outlier is true."
)
FILLED = "Missing cells are filled in as in training."
EXAMPLE = "example.npz"
DECODED = f"{EXAMPLE} has {SHOWN} rows as inputs of the model: decoded random codes, not rows of the data."
CATEGORIES = "Text that was not in training counts as none of the categories; spaces around text matter."


def describe(
    graphs: Mapping[str, Graph], *, suffix: str, score: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, Any]:
    """What the files take and return, in plain types.

    Args:
        graphs: by the names of the files.
        suffix: of the files.
        score: its name, threshold and rate of false alarms.
        about: the model: its name and checkpoint.
    """
    preprocessing = graphs["model"].preprocessing
    files = {
        name + suffix: {
            "inputs": [_plain(field, suffix) for field in graph.inputs],
            "outputs": [_plain(field, suffix) for field in graph.outputs],
        }
        for name, graph in graphs.items()
    }
    columns = preprocessing.columns()
    return {
        "isthmus": __version__,
        "model": dict(about),
        "files": files,
        **({"columns": columns} if columns else {}),
        **score,
        "refused_rows": REFUSED,
    }


def readme(description: Mapping[str, Any], graphs: Mapping[str, Graph], *, suffix: str, fills: bool) -> str:
    """The text of README.txt.

    Args:
        description: from `describe`, and what was checked.
        graphs: by the names of the files.
        suffix: of the files.
        fills: whether missing cells are filled in.
    """
    lines = [f"{description['model']['name']}, exported by isthmus {description['isthmus']}", ""]
    for file, ends in description["files"].items():
        lines.append(file)
        for kind, arrow in (("inputs", "<-"), ("outputs", "->")):
            for each in ends[kind]:
                shape = ", ".join(map(str, each["shape"]))
                lines.append(f"  {arrow} {each['name']}: {each['dtype']} [{shape}], {each['meaning']}")
    for name, columns in description.get("columns", {}).items():
        lines += ["", f"Columns of {name}:"]
        for at, column in enumerate(columns):
            cells = column.get("cells") or "one of " + ", ".join(map(repr, column["categories"]))
            lines.append(f"  {at}. {column['name']} ({cells})")
    if (threshold := description.get("threshold")) is not None:
        rate = description["false_alarm_rate"]
        lines += [
            "",
            f"outlier: {description['score']} score above {threshold:.6g}, "
            f"which at most {rate:.2%} of normal rows exceed.",
        ]
    lines += ["", REFUSED]
    lines += [FILLED] if fills else []
    lines += [CATEGORIES] if description.get("columns", {}).get("text") else []
    checked = description["checked"]
    apart = ", ".join(f"{name} {most:.1e}" for name, most in checked["largest_difference"].items())
    lines += [
        f"Checked on {checked['rows']:,} {checked['of']}; largest differences from what isthmus computes: "
        f"{apart} (model.json says what is allowed).",
        DECODED,
        "",
        f"In Python, in this folder{', without isthmus and PyTorch' if suffix == '.onnx' else ''}:",
        "",
        *_script(graphs["model"], suffix),
    ]
    return escaped("\n".join(lines)) + "\n"


def _plain(field: Field, suffix: str) -> dict[str, Any]:
    meaning, dtype = field.meaning, field.dtype
    if dtype == "text":
        dtype = "string" if suffix == ".onnx" else "int64"
    if dtype == "int64":
        meaning += f"; as its position in the categories, {UNSEEN} for other text, {MISSING} for missing"
    return {"name": field.name, "dtype": dtype, "shape": ["N", *field.shape], "meaning": meaning}


def _script(graph: Graph, suffix: str) -> list[str]:
    """Lines that run the model on the example and say what it finds."""
    results = [field.name for field in graph.outputs]
    said = ["row {row}:"]
    if "score" in results:
        said.append("score {score[row]:.4g},")
    if "outlier" in results:
        said.append("{'outlier' if outlier[row] else 'normal'},")
    said.append("code starts {code[row].ravel()[:4]}")
    if suffix == ".onnx":
        imported, opened, run = "onnxruntime", "onnxruntime.InferenceSession", "model.run(None, rows)"
    else:
        imported, opened = "torch", "torch.export.load"
        run = "(each.detach().numpy() for each in model(*map(torch.from_numpy, rows.values())))"
    return [
        "import numpy as np",
        f"import {imported}",
        f'model = {opened}("model{suffix}"){".module()" * (suffix != ".onnx")}',
        f'rows = dict(np.load("{EXAMPLE}"))',
        f"{', '.join(results)} = {run}",
        "for row in range(len(code)):",
        f'    print(f"{" ".join(said)}")',
    ]
