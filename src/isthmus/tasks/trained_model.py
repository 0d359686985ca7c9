"""A trained model: encode, decode, detect and sample, without the data it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import one_of
from isthmus.core.detection.detector import SCORES
from isthmus.core.detection.observed import Observed, observe
from isthmus.tasks.coding.sampler import Sampler
from isthmus.tasks.detection import Detection, Judged, decided, p_values, threshold_for
from isthmus.tasks.inputs.examples import Examples


class TrainedModel(Sampler):
    """A trained model, opened with `isthmus.load`.

    Examples may be given as

    - a NumPy array or a tensor: features [N, F]; images [N, C, H, W], [N, H, W, C] or, if they are grey,
      [N, H, W]. Whole numbers are pixels as stored (0 to 255), decimal numbers are pixels in [0, 1].
    - a table of pandas, pyarrow or polars, a dict of columns or a list of dicts: columns are found by name,
    - a list of paths of images, or the path of a file (.csv, .parquet, .npy, ...) or of a folder of images.

    They are prepared as in training. What comes back is of the same kind, layout and unit. A row of a table
    with a missing cell has no result, which is NaN, unless training filled in missing cells
    (data.missing=mean, median or indicator): then they are filled in alike.

    Attributes:
        shape: of one example: (C, H, W) for images, (F,) for features.
        latent_dim: D, the size of a code.
        columns: of a table, in the order of training; None for other data.
        label_names: of the classes of the training data, or None.
        trained_classes: the classes of the rows that were trained on, or None.
        config: what defines the model and its data, in plain types.
        path: of the run or the file that it was opened from.
        name: of this run or file.
        info: which checkpoint of the run it is from.
        device: where it computes.
    """

    def score(self, x: Any, *, score: str = "combined", batch_size: int | None = None) -> np.ndarray:
        """Anomaly scores; larger is more anomalous. Shape: [N], float32.

        Args:
            x: examples; see the class.
            score: one of combined, mse, likelihood, whitened, residual, code, code_mahalanobis, code_knn; see
                `core.detection.detector.Detector`.
            batch_size: see `encode`.
        """
        one_of("score", score, SCORES)
        examples = self._engine.examples(x)
        return self._engine.gathered(examples, self._scores(score), batch_size)[score].numpy()

    def detect(
        self,
        x: Any,
        *,
        false_alarm_rate: float | None = None,
        score: str = "combined",
        batch_size: int | None = None,
    ) -> Detection:
        """Which examples are anomalies. Rows without a score are None, as they are empty in the file that
        `isthmus detect` writes; see `Detection`.

        Args:
            x: examples; see the class.
            false_alarm_rate: the share of new normal examples that may be taken for anomalies, on average;
                None for 0.01, or the least for which there were enough validation rows.
            score: see `score`.
            batch_size: see `encode`.

        Raises:
            BadInput: see `encode`; or there were no validation rows, or too few for the rate.
        """
        limit, rate = self.threshold(false_alarm_rate, score=score)
        held_out = self._engine.held_out[score]
        found = self._engine.gathered(self._engine.examples(x), self._scores(score), batch_size)
        scores = found[score]
        return Detection(
            score=scores.numpy(),
            p_value=p_values(scores, held_out),
            outlier=decided(scores, limit),
            threshold=limit,
            false_alarm_rate=rate,
        )

    def threshold(
        self, false_alarm_rate: float | None = None, *, score: str = "combined"
    ) -> tuple[float, float]:
        """The score above which an example is an anomaly, and the rate that it was set for; see `detect`."""
        one_of("score", score, SCORES)
        return threshold_for(self._engine.held_out.get(score, torch.empty(0)), false_alarm_rate)

    def held_out_scores(self, score: str = "combined") -> np.ndarray:
        """Scores of validation rows, sorted; each by a detector not fitted to it. Shape: [N]."""
        return self._engine.held_out.get(one_of("score", score, SCORES), torch.empty(0)).numpy()

    def judged(self, examples: Examples, *, score: str = "combined") -> Iterator[Judged]:
        """Score, p-value and shares of all examples, batch by batch in order."""
        engine = self._engine
        held_out = engine.held_out.get(score, torch.empty(0))

        def compute(x: Tensor) -> dict[str, Tensor]:
            observed = observe(engine.autoencoder, x, losses=score == "likelihood")
            return {score: engine.detector(observed, score), "share": self._shares(observed)}

        for found in engine.streamed(examples, compute, doing="Scoring"):
            yield Judged(found[score].numpy(), p_values(found[score], held_out), found["share"])

    def open_file(
        self, path: str, *, options: Mapping[str, Any] | None = None, noisy: bool = False
    ) -> Examples:
        """The examples in a file or a folder; see `inputs.files.file_examples`, and `Accepted`."""
        from isthmus.tasks.inputs.files import file_examples

        return file_examples(path, self._accepted._replace(noisy=noisy), options=options)

    def explain(self, x: Any, *, batch_size: int | None = None) -> Any:
        """How much each feature of an example departs from its reconstruction.

        Squared standardised residuals, as shares of their sum: those of normal examples are all alike.

        Returns:
            Shape: [N, C, H, W] or [N, F], float32. Of a table, a table of the kind of `x` with the columns of
            training (see `columns`), or an array [N, C] for an array.
        """
        examples = self._engine.examples(x)

        def compute(x: Tensor) -> dict[str, Tensor]:
            return {"share": self._shares(observe(self._engine.autoencoder, x))}

        shares = self._engine.gathered(examples, compute, batch_size)["share"].numpy()
        return shares if self.columns is None else examples.as_table(shares, self.columns)

    def export(
        self,
        folder: str | Path,
        *,
        format: str = "onnx",
        score: str = "combined",
        false_alarm_rate: float | None = None,
    ) -> list[Path]:
        """Write files that run without isthmus, with preprocessing and threshold inside; returns their paths.

        They are read again and checked on the validation rows of the run, if it is still there with its data,
        or else on decoded samples. An example beside them has decoded samples in either case.

        Args:
            folder: made if it is missing; an earlier export in it is replaced.
            format: "onnx" (needs the extra ``isthmus[export]``), or "torch" for `torch.export`.
            score: see `score`.
            false_alarm_rate: see `detect`.

        Raises:
            BadInput: see `detect`; a package is missing, or a file does not compute what the model does.
        """
        from isthmus.tasks.exporting.export import export

        return export(
            self._engine,
            Path(folder),
            run=self.path,
            format=format,
            score=score,
            false_alarm_rate=false_alarm_rate,
        ).files

    def _scores(self, name: str) -> Callable[[Tensor], dict[str, Tensor]]:
        def compute(x: Tensor) -> dict[str, Tensor]:
            observed = observe(self._engine.autoencoder, x, losses=name == "likelihood")
            # the error needs nothing that was fitted, so unfinished runs have it too
            return {name: observed.mse if name == "mse" else self._engine.detector(observed, name)}

        return compute

    def _shares(self, observed: Observed) -> Tensor:
        """See `explain`."""
        squares = self._engine.detector.residuals.standardised(observed.residuals).square()
        shares = squares / squares.sum(1, keepdim=True).clamp(min=1e-30)
        record = self._accepted.record
        if record is None:
            return shares.reshape(-1, *self.shape)
        places = [place for _, place in record.preparation.places()]
        return torch.stack([shares[:, place].sum(1) for place in places], dim=1)
