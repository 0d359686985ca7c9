"""What is exported: graphs from the user's inputs to codes, reconstructions, scores and decisions.

Row by row, a graph computes what `TrainedModel` computes. All numbers of a row that isthmus refuses are NaN,
and it is an outlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.detection.detector import Detector
from isthmus.core.detection.observed import Observed
from isthmus.tasks.exporting.preprocessing import Field, Preprocessing

ROWS = 3  # of the example that is traced; the number of rows of a graph is free


class Scorer(NamedTuple):
    """What scores rows and decides.

    Attributes:
        detector: fitted to the model; only the mean squared error needs none.
        score: one of `core.detection.detector.SCORES`.
        threshold: the score above which a row is an outlier; None for no decision.
    """

    detector: Detector
    score: str
    threshold: float | None


class Graph(nn.Module):
    """A module that is exported.

    Attributes:
        preprocessing: of its rows.
        threshold: of the decision among the outputs, if there is one.
        inputs: in the order of the arguments of `forward`.
        outputs: in the order of its results.
    """

    preprocessing: Preprocessing
    threshold: float | None = None
    inputs: list[Field]
    outputs: list[Field]


class Encoder(Graph):
    """Rows to codes."""

    def __init__(self, autoencoder: Autoencoder, preprocessing: Preprocessing, code: tuple[int, ...]) -> None:
        super().__init__()
        self.autoencoder, self.preprocessing = autoencoder, preprocessing
        self.inputs = preprocessing.inputs
        self.outputs = [Field("code", "float32", code, "the code; of a distribution, its mean")]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        x, valid = self.preprocessing(*inputs)
        return (_only(valid, self.autoencoder.encode(_cast(x, self.autoencoder)).z.float()),)


class Decoder(Graph):
    """Codes to rows."""

    def __init__(self, autoencoder: Autoencoder, preprocessing: Preprocessing, code: tuple[int, ...]) -> None:
        super().__init__()
        self.autoencoder, self.preprocessing = autoencoder, preprocessing
        self.inputs = [Field("code", "float32", code, "as the encoder returns it")]
        self.outputs = preprocessing.outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        (code,) = inputs
        return self.preprocessing.invert(self.autoencoder.decode(_cast(code, self.autoencoder)))


class Model(Graph):
    """Rows to codes, reconstructions and, where the model has a detector, scores and decisions."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        preprocessing: Preprocessing,
        code: tuple[int, ...],
        scorer: Scorer | None,
    ) -> None:
        super().__init__()
        self.autoencoder, self.preprocessing = autoencoder, preprocessing
        self.detector = scorer.detector if scorer else None
        self.score = scorer.score if scorer else ""
        self.threshold = scorer.threshold if scorer else None
        self.inputs = preprocessing.inputs
        self.outputs = [
            Field("code", "float32", code, "the code; of a distribution, its mean"),
            *preprocessing.outputs,
        ]
        if scorer:
            self.outputs.append(Field("score", "float32", (), f"{scorer.score} score; larger: more unusual"))
        if self.threshold is not None:
            self.outputs.append(Field("outlier", "bool", (), "whether the score is above the threshold"))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        x, valid = self.preprocessing(*inputs)
        x = _cast(x, self.autoencoder)
        z = self.autoencoder.encode(x).z
        raw = self.autoencoder.decoder(z)
        rows = self.preprocessing.invert(self.autoencoder.loss.reconstruction(raw))
        outputs = [_only(valid, each) for each in (z.float(), *rows)]
        if self.detector is not None:
            observed = Observed.of(self.autoencoder, x, z, raw, losses=self.score == "likelihood")
            score = _only(valid, self.detector(observed, self.score))
            outputs.append(score)
            if self.threshold is not None:
                outputs.append(~(score <= self.threshold))  # true for NaN
        return tuple(outputs)


def graphs_of(
    autoencoder: Autoencoder, preprocessing: Preprocessing, scorer: Scorer | None
) -> Mapping[str, Graph]:
    """The graphs of a model, by the names of their files. On the CPU; the arguments stay as they are."""
    model = deepcopy(autoencoder).cpu().eval()
    with torch.no_grad():
        x, _ = preprocessing(*example(preprocessing.inputs))
        code = tuple(model.encode(_cast(x, model)).z.shape[1:])
    if scorer:
        scorer = scorer._replace(detector=deepcopy(scorer.detector).cpu())
    return {
        "model": Model(model, preprocessing, code, scorer),
        "encoder": Encoder(model, preprocessing, code),
        "decoder": Decoder(model, preprocessing, code),
    }


def example(inputs: list[Field]) -> tuple[Tensor, ...]:
    """Rows of zeros."""
    return tuple(torch.zeros(ROWS, *field.shape, dtype=_dtype(field)) for field in inputs)


def trace(graph: Graph) -> ExportedProgram:
    """The graph, for any number of rows."""
    rows: Any = Dim("N")
    with torch.no_grad():
        return torch.export.export(
            graph.eval(),
            example(graph.inputs),
            dynamic_shapes=(tuple({0: rows} for _ in graph.inputs),),
        )


def _dtype(field: Field) -> torch.dtype:
    return torch.int64 if field.dtype == "text" else getattr(torch, field.dtype)


def _cast(x: Tensor, autoencoder: Autoencoder) -> Tensor:
    """`x` in the precision of the model."""
    return x.to(next(autoencoder.parameters()).dtype)


def _only(valid: Tensor, x: Tensor) -> Tensor:
    """`x` where a row is valid, and NaN or no category elsewhere. Shapes: [N], [N, ...] -> [N, ...]."""
    return torch.where(valid.reshape(-1, *[1] * (x.ndim - 1)), x, torch.nan if x.is_floating_point() else -1)
