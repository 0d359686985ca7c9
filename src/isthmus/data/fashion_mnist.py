"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels, in 10 classes.

Xiao, Rasul and Vollgraf 2017, https://arxiv.org/abs/1708.07747. MIT licence.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.data.download import DownloadFailed, fetch
from isthmus.data.examples import cache_folder, locate
from isthmus.data.formats.idx import read_idx
from isthmus.data.source import TensorSource, sha256_of

SITE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the Debian package dataset-fashion-mnist
CACHE = "fashion-mnist"  # name of the folder of downloads
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class File(NamedTuple):
    """One of the four files.

    Attributes:
        name: on the site and on disk; the same as in MNIST.
        shape: of the values.
        served: SHA-256 of the file on the site.
        values: SHA-256 of its values. Debian's files differ from the site's in compression only.
    """

    name: str
    shape: tuple[int, ...]
    served: str
    values: str


TRAIN_IMAGES = File(
    "train-images-idx3-ubyte.gz",
    (60_000, 28, 28),
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
)
TRAIN_LABELS = File(
    "train-labels-idx1-ubyte.gz",
    (60_000,),
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
)
TEST_IMAGES = File(
    "t10k-images-idx3-ubyte.gz",
    (10_000, 28, 28),
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
)
TEST_LABELS = File(
    "t10k-labels-idx1-ubyte.gz",
    (10_000,),
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
)


class FashionMNIST(TensorSource):
    """Images [1, 28, 28] in [0, 1], labels 0 to 9; the 60,000 train rows, then the 10,000 test rows.

    Args:
        root: a folder with the four .gz files of the site, or None. A missing file is searched in the folder
            of the Debian package dataset-fashion-mnist and in the user's cache, and then downloaded into
            `root` (or the cache).

    Raises:
        BadInput: a file is damaged, has other values, or is missing and cannot be downloaded.
    """

    def __init__(self, *, root: str | None) -> None:
        given = None if root is None else locate(str(root), "root")
        if given and given.exists() and not given.is_dir():
            raise BadInput("root", root, "is not a folder; give the folder with the four .gz files")
        # the small files first: a wrong folder usually fails for any of them
        test_labels, train_labels, test, train = (
            _read(given, file) for file in (TEST_LABELS, TRAIN_LABELS, TEST_IMAGES, TRAIN_IMAGES)
        )
        super().__init__(
            torch.cat([train, test]).unsqueeze(1),
            unit=1 / 255,
            value_range=(0.0, 1.0),
            labels=torch.cat([train_labels, test_labels]).long(),
            label_names=list(CLASSES),
            test_rows=torch.arange(len(train), len(train) + len(test)),
        )


def _read(root: Path | None, file: File) -> Tensor:
    """Find one file, verify it and return its values. Shape: [N, 28, 28] or [N]."""
    path = _find(root, file)
    try:
        values = read_idx(path, file.shape)
    except ValueError as error:
        raise BadInput("root", _shown(root), f"{error}; remove or replace it") from error
    if sha256_of(values) != file.values:
        raise BadInput(
            "root",
            _shown(root),
            f"{path} holds other data than Fashion-MNIST's file of that name; remove or replace it",
        )
    return values


def absent(root: Path | None) -> list[str]:
    """The files that `FashionMNIST` would have to download."""
    files = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    return [file.name for file in files if _present(root, file) is None]


def _present(root: Path | None, file: File) -> Path | None:
    for folder in (root, DEBIAN, cache_folder(CACHE)):
        # Path.exists raises for a folder without read permission
        if folder and os.path.exists(folder / file.name):
            return folder / file.name
    return None


def _find(root: Path | None, file: File) -> Path:
    if (present := _present(root, file)) is not None:
        return present
    path = (root or cache_folder(CACHE)) / file.name
    try:
        fetch(SITE + file.name, path, sha256=file.served)
    except DownloadFailed as error:
        raise BadInput(
            "root",
            _shown(root),
            f"{file.name} is not on this machine, and {error}; `apt-get install dataset-fashion-mnist`, "
            f"or put the four .gz files of {SITE} into {path.parent}",
        ) from error
    return path


def _shown(root: Path | None) -> str:
    return "null" if root is None else str(root)
