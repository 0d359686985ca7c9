"""Graphs as ONNX files, and what ONNX Runtime computes from them. https://onnx.ai"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from isthmus.common.errors import BadInput
from isthmus.tasks.exporting.graphs import Graph, trace
from isthmus.tasks.exporting.onnx_text import traced_names, use_text
from isthmus.tasks.exporting.table_preprocessing import TablePreprocessing

SUFFIX = ".onnx"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
LARGEST = 2_000_000_000  # bytes of a file


def check_possible(graph: Graph) -> None:
    """Raise `BadInput` if a package is missing, or the weights are too large for one file."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            fix = f'needs {name}: pip install "isthmus[export]"; --format torch needs nothing more'
            raise BadInput("--format", "onnx", fix)
    size = sum(each.nbytes for each in graph.state_dict().values())
    if size > LARGEST:
        fix = f"cannot contain {size / 1e9:.1f} GB of weights; give --format torch"
        raise BadInput("--format", "onnx", fix)


def write(path: Path, graph: Graph, about: str) -> None:
    """Write a graph.

    Args:
        path: of the file.
        graph: what it computes.
        about: JSON for the metadata of the file, key ``isthmus``.
    """
    import onnx

    with _quiet():
        program = torch.onnx.export(
            trace(graph),
            input_names=traced_names(graph.inputs),
            output_names=traced_names(graph.outputs),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    preprocessing = graph.preprocessing
    if isinstance(preprocessing, TablePreprocessing) and preprocessing.text:
        use_text(model, preprocessing.text)
    model.metadata_props.add(key="isthmus", value=about)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def run(path: Path, graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a file, by name."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [field.name for field in graph.outputs]
    return dict(zip(names, session.run(names, taken(graph, inputs)), strict=True))


def taken(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs as a file takes them."""
    return {
        field.name: inputs[field.name].astype(str) if field.dtype == "text" else inputs[field.name]
        for field in graph.inputs
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's remarks on packages that are not needed, and on its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
