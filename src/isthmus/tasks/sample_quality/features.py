"""The space of features in which samples are compared with real rows.

With labels: the last hidden layer of a classifier that is trained here on the run's training and validation
rows. It is kept in the cache under the hash of these rows and their classes, and its seed is fixed. So it is
the same for all runs on the same data with the same preparation and test rows, whose distances can be
compared. Without labels, or with a single class: principal components of the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.common.progress import track
from isthmus.common.tensor_file import read_tensors, write_tensors
from isthmus.core.architectures.conv import Conv
from isthmus.core.architectures.mlp import MLP
from isthmus.data.examples import cache_folder
from isthmus.data.source import sha256_of

FOLDER = "classifiers"  # in the cache
RECIPE = 1  # counts the changes of what follows
FEATURES = 64
CHANNELS, LARGEST_SIDE = (16, 32, 64, 128, 128), 7  # stages of an image until its side is at most this
HIDDEN = (256, 128)  # for rows
STEPS, MOST_EPOCHS, BATCH, RATE, DECAY = 1_000, 40, 256, 3e-3, 1e-2
MOST_CLASSES = 1_000
SEED = 0


class FeatureSpace(NamedTuple):
    """What maps values of the model to features.

    Attributes:
        features: Shapes: [B, ...] -> [B, FEATURES] or fewer, float32.
        text: what it is.
        predict: the class of each row from its features; None if there is no classifier.
            Shapes: [B, D] -> [B].
    """

    features: Callable[[Tensor], Tensor]
    text: str
    predict: Callable[[Tensor], Tensor] | None


def feature_space(x: Tensor, labels: Tensor | None) -> FeatureSpace:
    """The space that belongs to these rows.

    Args:
        x: values of the model. Shape: [N, ...].
        labels: classes from 0; None if there are none. Shape: [N].
    """
    classes = 0 if labels is None else len(labels.unique())
    if labels is None or not 1 < classes <= MOST_CLASSES:
        why = "no labels" if labels is None else "one class" if classes == 1 else f"{classes:,} classes"
        return _components(x, why)
    numbers = labels.unique(return_inverse=True)[1]
    model = _classifier(tuple(x.shape[1:]), classes)
    path = cache_folder(FOLDER) / f"{sha256_of(torch.tensor([RECIPE, SEED]), x, labels)}.safetensors"
    if not _read(path, model):
        _train(model, x, numbers)
        _keep(path, model)
    model.eval()
    names, head = labels.unique(), model[-1]

    def features(values: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([model[:-1](part) for part in values.split(BATCH * 4)])

    def predict(found: Tensor) -> Tensor:
        with torch.inference_mode():
            return names[head(found).argmax(1)]

    text = f"last hidden layer of a classifier of {classes} classes, trained on {len(x):,} rows"
    return FeatureSpace(features, text, predict)


def _classifier(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """[B, ...] -> [B, classes]; before the last layer, the features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if len(shape) == 3:
            stages, side = 1, -(-max(shape[1:]) // 2)
            while side > LARGEST_SIDE and stages < len(CHANNELS):
                stages, side = stages + 1, -(-side // 2)
            build = Conv(channels=CHANNELS[:stages], activation="silu", normalization="none").build
        else:
            build = MLP(hidden=HIDDEN, activation="silu", normalization="none", dropout=0.0).build
        built = build(shape, 1)
        hidden = nn.Sequential(built.encoder, nn.Linear(built.width, FEATURES), nn.SiLU())
        return nn.Sequential(*hidden, nn.Linear(FEATURES, classes))


def _train(model: nn.Sequential, x: Tensor, numbers: Tensor) -> None:
    """With AdamW and a one-cycle learning rate. Shapes: [N, ...], [N]."""
    batches = -(-len(x) // BATCH)
    epochs = min(MOST_EPOCHS, max(1, round(STEPS / batches)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * batches)
    generator = torch.Generator().manual_seed(SEED)
    model.train()
    steps = epochs * batches
    shuffled = (
        rows for _ in range(epochs) for rows in torch.randperm(len(x), generator=generator).split(BATCH)
    )
    text = f"Training a classifier of {model[-1].out_features} classes in {steps:,} steps, kept for later"
    for rows in track(shuffled, text, of=steps):
        loss = F.cross_entropy(model(x[rows]), numbers[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _read(path: Path, model: nn.Module) -> bool:
    """Load what was kept; False if there is nothing, or it cannot be used."""
    try:
        model.load_state_dict(read_tensors(path)[0])
    except (OSError, ValueError, RuntimeError):
        return False
    return True


def _keep(path: Path, model: nn.Module) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, model.state_dict(), {"recipe": RECIPE})
    except OSError:
        return  # it is trained again next time


def _components(x: Tensor, why: str) -> FeatureSpace:
    from sklearn.decomposition import PCA

    flat: Any = x.flatten(1).numpy()
    count = min(FEATURES, *flat.shape)
    pca = PCA(count, random_state=SEED).fit(flat)
    text = f"{count} principal components of {len(x):,} training rows ({why} to train a classifier on)"

    def features(values: Tensor) -> Tensor:
        return torch.from_numpy(pca.transform(values.flatten(1).numpy()).astype(np.float32))

    return FeatureSpace(features, text, None)
