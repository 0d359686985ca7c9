"""Graphs as files of `torch.export` (.pt2), and what they compute. https://docs.pytorch.org/docs/stable/export.html

Text is given as positions of categories, as PyTorch has no tensors of text.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isthmus.tasks.exporting.graphs import Graph, trace
from isthmus.tasks.exporting.table_preprocessing import TablePreprocessing

SUFFIX = ".pt2"


def check_possible(graph: Graph) -> None:
    """Every model can be written."""


def write(path: Path, graph: Graph, about: str) -> None:
    """Write a graph.

    Args:
        path: of the file.
        graph: what it computes.
        about: JSON for the file ``isthmus`` among the extra files.
    """
    with warnings.catch_warnings(action="ignore"):  # of weights that share their storage; the file is checked
        torch.export.save(trace(graph), path, extra_files={"isthmus": about})


def run(path: Path, graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a file, by name; text is mapped to positions of categories, and back."""
    preprocessing = graph.preprocessing
    module = torch.export.load(path).module()
    with torch.no_grad():
        found: tuple[Tensor, ...] = module(*map(torch.from_numpy, taken(graph, inputs).values()))
    outputs = {field.name: each.numpy() for field, each in zip(graph.outputs, found, strict=True)}
    for field in graph.outputs:
        if field.dtype == "text" and isinstance(preprocessing, TablePreprocessing):
            outputs[field.name] = preprocessing.texts(outputs[field.name])
    return outputs


def taken(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs as a file takes them, in its order."""
    given = {field.name: inputs[field.name] for field in graph.inputs}
    if "text" in given and isinstance(graph.preprocessing, TablePreprocessing):
        given["text"] = graph.preprocessing.codes(given["text"])
    return given
