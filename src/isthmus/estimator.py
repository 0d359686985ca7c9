"""A scikit-learn estimator: an autoencoder that encodes, decodes, finds outliers and samples.

Interface: https://scikit-learn.org/stable/developers/develop.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.metrics import r2_score
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from isthmus.common.errors import BadInput, check_float, check_int, one_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from isthmus.tasks.trained_model import TrainedModel

LOSSES = ("mse", "l1", "huber", "gaussian", "bce")
NOISES = ("gaussian", "masking", "salt_and_pepper")
OVERRIDDEN = (
    "architecture",
    "latent",
    "loss",
    "regularizer",
    "objective",
    "noise",
    "optimizer",
    "scheduler",
    "model",
)
LARGEST_SEED = 2**31 - 1


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, BaseEstimator):
    """An autoencoder of numbers in a table, trained in memory.

    Features are standardised (scaled to [0, 1] for `loss="bce"`) by the training rows. The weights are those
    with the lowest loss on the validation rows, on which the threshold is set, too.

    Args:
        latent_dim: D, the size of a code; None for 1.6 times the square root of the number of features.
        hidden: widths of the encoder's hidden layers, or the width of its only one; the decoder mirrors them.
        loss: mse, l1, huber, gaussian or bce.
        noise: added to what the encoder sees in training: gaussian, masking, salt_and_pepper, or None.
        noise_std: standard deviation of gaussian noise, in standard deviations of a feature.
        max_steps: optimizer steps; training ends earlier where the validation loss no longer falls.
        batch_size: examples of a step.
        lr: learning rate of Adam.
        validation_fraction: share of the rows that are held out, above 0 and below 1.
        false_alarm_rate: share of new normal rows that `predict` may take for outliers, on average; None for
            0.01, or the least rate for which there are enough validation rows.
        random_state: of the held-out rows, the weights, the noise and the order; an int, a RandomState or
            None.
        device: cpu, cuda, cuda:1 or mps.
        verbose: whether to print the validation loss during training.
        overrides: further keys of the groups of isthmus that define a model or its optimizer, as on the
            command line: ``["model=vae", "optimizer.weight_decay=1e-4"]``.

    Attributes:
        model_: the trained model, for what `scaler_` returns; see `isthmus.load`.
        scaler_: StandardScaler or MinMaxScaler.
        latent_dim_: D.
        offset_: score below which `predict` says -1.
        false_alarm_rate_: the rate that it was set for.
        validation_losses_: Shape: [V].
        n_steps_: optimizer step that the weights are from.
    """

    def __init__(
        self,
        latent_dim: int | None = None,
        *,
        hidden: int | Sequence[int] = (64, 32),
        loss: str = "mse",
        noise: str | None = None,
        noise_std: float = 0.5,
        max_steps: int = 3000,
        batch_size: int = 32,
        lr: float = 1e-3,
        validation_fraction: float = 0.1,
        false_alarm_rate: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        verbose: bool = False,
        overrides: Sequence[str] = (),
    ) -> None:
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.loss = loss
        self.noise = noise
        self.noise_std = noise_std
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.lr = lr
        self.validation_fraction = validation_fraction
        self.false_alarm_rate = false_alarm_rate
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self.overrides = overrides

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Train on rows [N, F] of numbers; `y` is ignored.

        Raises:
            BadInput: a parameter is invalid; it is a ValueError.
            TrainingDiverged: the loss is not finite.
        """
        import torch

        from isthmus.runs.in_memory import split_in_memory, train_in_memory
        from isthmus.tasks.detection import threshold_for
        from isthmus.tasks.loading import device_named

        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)  # noqa: N806
        seed = int(check_random_state(self.random_state).randint(LARGEST_SEED))
        fraction = check_float("validation_fraction", self.validation_fraction, above=0.0, below=1.0)
        cfg = self._config(X.shape[1], seed)
        split = split_in_memory(len(X), fraction, seed=seed)
        scores = torch.zeros(len(split.val))  # as many as there will be: a rate is refused before training
        threshold_for(scores, self.false_alarm_rate, size="validation_fraction")
        bounded = self.loss == "bce"
        scaler = MinMaxScaler(clip=True) if bounded else StandardScaler()
        with np.errstate(over="ignore", invalid="ignore"):  # what cannot be scaled is refused
            scaler.fit(X[split.train.numpy()])
        file, history = train_in_memory(
            cfg,
            _scaled(scaler, X),
            split,
            bounded=bounded,
            device=device_named(self.device),
            report=_say if self.verbose else None,
        )
        self.scaler_, self._file = scaler, file  # a training that fails leaves what was fitted before
        self.model_ = self._opened()
        self.validation_losses_ = np.array(history.losses)
        self.n_steps_ = history.steps[history.best]
        self.latent_dim_ = self._n_features_out = self.model_.latent_dim
        limit, self.false_alarm_rate_ = self.model_.threshold(self.false_alarm_rate)
        self.offset_ = -limit
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Codes of rows; of a distribution, its mean. Shapes: [N, F] -> [N, D], float32."""
        x = self._checked(X)
        return self.model_.encode(x)

    def inverse_transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Rows of codes. Shapes: [N, D] -> [N, F]."""
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float64, input_name="X")
        return self.scaler_.inverse_transform(self.model_.decode(codes).astype(np.float64))

    def reconstruct(self, X: Any) -> np.ndarray:  # noqa: N803
        """Rows through the autoencoder. Shapes: [N, F] -> [N, F]."""
        x = self._checked(X)
        return self.scaler_.inverse_transform(self.model_.reconstruct(x).astype(np.float64))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """Share of the variance of the scaled features that the reconstruction explains; at most 1."""
        x = self._checked(X)
        return float(r2_score(x, self.model_.reconstruct(x), multioutput="variance_weighted"))

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """How normal rows are: larger is more normal. Shape: [N].

        The negative of the combined score of `core.detection.detector`.
        """
        x = self._checked(X)
        return -self.model_.score(x).astype(np.float64)

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """`score_samples` minus `offset_`: negative for outliers. Shape: [N]."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """1 for normal rows, -1 for outliers. Shape: [N]."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: Any) -> np.ndarray:  # noqa: N803
        """The share of each feature in the error of its row; see `TrainedModel.explain`. Shape: [N, F]."""
        x = self._checked(X)
        return self.model_.explain(x)

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """New rows: decoded codes, drawn from the prior or from a Gaussian mixture. Shape: [n_samples, F]."""
        check_is_fitted(self)
        seed = int(check_random_state(random_state).randint(LARGEST_SEED))
        return self.inverse_transform(self.model_.sample_codes(n_samples, seed=seed))

    def _checked(self, X: Any) -> np.ndarray:  # noqa: N803
        """Scaled features of new rows. Shape: [N, F], float32."""
        check_is_fitted(self)
        return _scaled(self.scaler_, validate_data(self, X, dtype=np.float64, reset=False))

    def _config(self, features: int, seed: int) -> DictConfig:
        one_of("loss", self.loss, LOSSES)
        if self.noise is not None:
            one_of("noise", self.noise, NOISES)
        usual = min(features, math.ceil(1.6 * math.sqrt(features)))
        latent_dim = usual if self.latent_dim is None else check_int("latent_dim", self.latent_dim)
        further = self.overrides
        if not isinstance(further, list | tuple) or not all(isinstance(each, str) for each in further):
            raise BadInput("overrides", further, 'must be a list of texts, such as ["model=vae"]')
        for each in further:
            if each.lstrip("+~").partition("=")[0].partition(".")[0] not in OVERRIDDEN:
                raise BadInput("overrides", each, f"must be a key of {', '.join(OVERRIDDEN)}")
        groups = {each.partition("=")[0] for each in further}
        own = [f"loss={self.loss}", f"noise={self.noise or 'none'}", f"latent.dim={latent_dim}"]
        own += [f"optimizer.lr={check_float('lr', self.lr, above=0.0)}"] * ("optimizer" not in groups)
        if "architecture" not in groups:
            own.append(f"architecture.hidden={self._widths()}")
        if self.noise == "gaussian" and "noise" not in groups:
            own.append(f"noise.std={check_float('noise_std', self.noise_std, above=0.0)}")
        cfg = _composed((*(each for each in own if each.partition("=")[0] not in groups), *further)).copy()
        cfg.seed, cfg.data.batch_size = seed, check_int("batch_size", self.batch_size)
        cfg.trainer.max_steps = check_int("max_steps", self.max_steps)
        return cfg

    def _widths(self) -> list[int]:
        hidden = [self.hidden] if isinstance(self.hidden, Integral) else self.hidden
        if not isinstance(hidden, list | tuple | np.ndarray):
            fix = "must be the widths of the hidden layers, such as (64, 32), or that of the only one"
            raise BadInput("hidden", hidden, fix)
        return [check_int("hidden", each) for each in hidden]

    def _opened(self) -> TrainedModel:
        from isthmus.runs.packed.opening import open_model
        from isthmus.tasks.loading import device_named
        from isthmus.tasks.trained_model import TrainedModel

        device = device_named(self.device)
        return TrainedModel(open_model(self._file, device), device, Path(type(self).__name__))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "offset_")  # other attributes are there before training

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "model_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_file" in self.__dict__:
            self.model_ = self._opened()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # codes are float32
        return tags


@lru_cache(maxsize=64)
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    from isthmus.runs.config.hydra.errors import composed

    return composed(overrides).cfg


def _scaled(scaler: MinMaxScaler | StandardScaler, X: np.ndarray) -> np.ndarray:  # noqa: N803
    with np.errstate(over="ignore", invalid="ignore"):
        x = scaler.transform(X).astype(np.float32)
    if not np.isfinite(x).all():
        size = f"values up to {np.abs(X).max():.3g}"
        raise BadInput("X", size, "are too large to be scaled by those of training; leave such rows out")
    return x


def _say(step: int, loss: float) -> None:
    print(f"step {step:,}  val/loss {loss:.5g}", flush=True)
