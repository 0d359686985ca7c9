"""Text in ONNX graphs: PyTorch traces positions of categories, which LabelEncoder maps from text and back.

https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.data.tables.preparation import Column
from isthmus.tasks.exporting.preprocessing import Field
from isthmus.tasks.exporting.table_preprocessing import MISSING, UNSEEN

DOMAIN, VERSION = "ai.onnx.ml", 3
CODES = " codes"  # suffix of the name of a text input or output as it was traced


def traced_names(fields: Sequence[Field]) -> list[str]:
    """The names of inputs or outputs as they are traced."""
    return [field.name + CODES if field.dtype == "text" else field.name for field in fields]


def use_text(model: Any, columns: Sequence[Column]) -> None:
    """Give text to the inputs and outputs that were traced as positions of categories.

    Args:
        model: of ONNX; changed in place.
        columns: of each such input and output.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    known = [list(range(len(column.categories))) for column in columns]
    encoders = [
        {
            "keys_strings": [*column.categories, ""],
            "values_int64s": [*numbers, MISSING],
            "default_int64": UNSEEN,
        }
        for column, numbers in zip(columns, known, strict=True)
    ]
    decoders = [
        {"keys_int64s": [*numbers, UNSEEN], "values_strings": [*column.categories, ""], "default_string": ""}
        for column, numbers in zip(columns, known, strict=True)
    ]
    traced = list(graph.node)
    del graph.node[:]
    for place, tables in ((graph.input, encoders), (graph.output, decoders)):
        for value in (each for each in place if each.name.endswith(CODES)):
            codes, text = value.name, value.name.removesuffix(CODES)
            ends = (text, codes) if place is graph.input else (codes, text)
            graph.node.extend(_mapping(graph, *ends, tables))
            value.name = text
            value.type.tensor_type.elem_type = TensorProto.STRING
        if place is graph.input:
            graph.node.extend(traced)
    model.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))


def _mapping(graph: Any, source: str, target: str, tables: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Nodes that map each column of `source` [N, K] by a table of its own to `target`."""
    import numpy as np
    from onnx import helper, numpy_helper

    nodes, mapped = [], []
    for at, table in enumerate(tables):
        place, column, result = (f"{source} {part} {at}" for part in ("place", "column", "mapped"))
        graph.initializer.append(numpy_helper.from_array(np.array([at]), place))
        nodes.append(helper.make_node("Gather", [source, place], [column], axis=1))
        nodes.append(helper.make_node("LabelEncoder", [column], [result], domain=DOMAIN, **table))
        mapped.append(result)
    return [*nodes, helper.make_node("Concat", mapped, [target], axis=1)]
