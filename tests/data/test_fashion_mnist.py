"""Fashion-MNIST: the files of the Debian package, the places they are looked for, and broken files."""

import gzip
import shutil
from pathlib import Path

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.data import fashion_mnist
from isthmus.data.download import DownloadFailed
from isthmus.data.fashion_mnist import DEBIAN, FashionMNIST

NAMES = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]

needs_debian = pytest.mark.skipif(not DEBIAN.exists(), reason="apt-get install dataset-fashion-mnist")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache, so that no test sees or changes the person's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "isthmus" / "fashion-mnist"


@pytest.fixture
def no_debian(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no package")


@pytest.fixture
def site(monkeypatch) -> list[str]:
    """In place of the network: Debian's files; the list of what was asked for."""
    asked: list[str] = []

    def fetch(url: str, to: Path, *, sha256: str) -> None:
        asked.append(url)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DEBIAN / to.name, to)

    monkeypatch.setattr(fashion_mnist, "fetch", fetch)
    return asked


@needs_debian
def test_what_the_package_holds():
    source = FashionMNIST(root=None)
    assert source.values.shape == (70_000, 1, 28, 28)
    assert source.values.dtype == torch.uint8
    assert (source.shape, source.value_range) == ((1, 28, 28), (0.0, 1.0))
    assert torch.equal(source.test_rows, torch.arange(60_000, 70_000))
    assert source.labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert source.labels[60_000:60_005].tolist() == [9, 2, 1, 1, 6]
    assert source.labels[:60_000].bincount().tolist() == [6000] * 10
    assert source.labels[60_000:].bincount().tolist() == [1000] * 10
    assert source.label_names[source.labels[0]] == "Ankle boot"
    # the mean and deviation that the field quotes for its training set
    share = source.values[:60_000].flatten().bincount(minlength=256) / (60_000 * 28 * 28)
    x = source.scaling(torch.arange(60_000))(torch.arange(256))
    mean = (share * x).sum()
    assert mean.item() == pytest.approx(0.2860, abs=5e-5)
    assert (share * (x - mean) ** 2).sum().sqrt().item() == pytest.approx(0.3530, abs=5e-5)
    assert torch.equal(source.take(torch.tensor([60_000])), source.values[60_000:60_001])


@needs_debian
@pytest.mark.parametrize("given", [True, False])
def test_what_is_missing_is_downloaded_once(tmp_path: Path, cache, no_debian, site, given):
    root = tmp_path / "mine" if given else None
    folder = root or cache
    folder.mkdir(parents=True)
    (folder / NAMES[0]).symlink_to(DEBIAN / NAMES[0])
    for _ in range(2):
        source = FashionMNIST(root=None if root is None else str(root))
    assert source.fingerprint == "75979490032625d6583ff7101de6f9243d07d0a8d33d3c9b3b7e79b4c59382af"
    assert sorted(site) == sorted(fashion_mnist.SITE + name for name in NAMES[1:])
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


@needs_debian
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: b"", "t10k-labels-idx1-ubyte.gz is empty"),
        (lambda raw: raw[:-100], "t10k-labels-idx1-ubyte.gz is truncated or damaged"),
        (lambda raw: b"<html>404</html>", "t10k-labels-idx1-ubyte.gz is not an IDX file"),
        (
            lambda raw: gzip.compress(gzip.decompress(raw)[:-1] + b"\7"),
            "t10k-labels-idx1-ubyte.gz holds other data than Fashion-MNIST's",
        ),
    ],
    ids=["empty", "truncated", "not IDX", "MNIST of the same name"],
)
def test_a_broken_file_is_named(tmp_path: Path, change, says):
    name = "t10k-labels-idx1-ubyte.gz"
    (tmp_path / name).write_bytes(change((DEBIAN / name).read_bytes()))
    with pytest.raises(BadInput, match=says) as caught:
        FashionMNIST(root=str(tmp_path))
    message = str(caught.value.under("data"))
    assert message.startswith(f"data.root={tmp_path}: {tmp_path / name}")
    assert "\n" not in message


def test_offline_says_what_to_do(cache, no_debian, monkeypatch):
    def fetch(url: str, to: Path, *, sha256: str) -> None:
        raise DownloadFailed(f"{url} cannot be fetched into {to.parent}: no network")

    monkeypatch.setattr(fashion_mnist, "fetch", fetch)
    with pytest.raises(BadInput) as caught:
        FashionMNIST(root=None)
    message = str(caught.value.under("data"))
    assert message.startswith("data.root=null: t10k-labels-idx1-ubyte.gz is not on this machine")
    assert "no network; `apt-get install dataset-fashion-mnist`, or put the four .gz files" in message
    assert message.endswith(f"into {cache}")


def test_root_must_be_a_folder(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is not a folder"):
        FashionMNIST(root=str(tmp_path / "file"))
