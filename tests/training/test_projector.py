"""The table that TensorBoard's projector shows beside the codes: one row an example, whatever its label."""

from __future__ import annotations

import errno
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus.common.failures import WarnOnFailure, disk_failure
from isthmus.common.held_folder import FolderLost, holding
from isthmus.runs.config.compose import compose
from isthmus.runs.errors import RunFailed
from isthmus.runs.execution import fit
from isthmus.runs.train import train
from isthmus.training.callbacks import figures, projector
from isthmus.training.loggers import EventFiles
from isthmus.training.writers.metrics_csv import MetricsFile
from isthmus.training.writers.projector import thumbnails, write_projector

NAMES = {
    "plain": "plain",
    "": "",
    "two words": "two words",
    " ": " ",
    "naïve 猫\u3000\U0001f468\u200d\U0001f469 c:\\new": "naïve 猫\u3000\U0001f468\u200d\U0001f469 c:\\new",
    "a\nb": "a\\nb",
    "a\tb": "a\\tb",
    "a\r\nb\r": "a\\r\\nb\\r",
    "\x1b[31m\x00\x0b\x0c\x1c\x85\u2028": "\\x1b[31m\\x00\\x0b\\x0c\\x1c\\x85\\u2028",
    "\udcff": "\\udcff",  # as Python reads a file name that is not UTF-8
}


def rows_of(folder):
    """As the projector parses it: lines of nothing but white space are skipped."""
    text = (folder / "projector" / "codes" / "metadata.tsv").read_bytes().decode("utf-8")
    return [line.split("\t") for line in text.split("\n") if line.strip()]


@pytest.fixture
def codes():
    count = len(NAMES)
    return {
        "codes": torch.randn(count, 3),
        "ids": torch.arange(10, 10 + count),
        "labels": torch.arange(count),
    }


def test_a_label_is_one_cell(codes, tmp_path):
    write_projector(tmp_path, codes, label_names=list(NAMES), images=None)
    shown = [[name, str(row)] for name, row in zip(NAMES.values(), codes["ids"].tolist(), strict=True)]
    assert rows_of(tmp_path) == [["label", "id"], *shown]


def test_labels_without_names(codes, tmp_path):
    write_projector(tmp_path, codes, label_names=None, images=None)
    assert rows_of(tmp_path)[:2] == [["label", "id"], ["0", "10"]]


def test_without_labels_there_is_no_header(codes, tmp_path):
    """The projector takes the first of rows with one column for an example."""
    del codes["labels"]
    write_projector(tmp_path, codes, label_names=None, images=None)
    assert rows_of(tmp_path) == [[str(row)] for row in codes["ids"].tolist()]


def test_a_former_one_that_cannot_be_removed_is_an_error_of_the_disk(codes, tmp_path, monkeypatch):
    write_projector(tmp_path, codes, label_names=list(NAMES), images=None)
    remove = shutil.rmtree

    def fail(place, ignore_errors=False):
        if not ignore_errors:
            raise OSError(errno.EIO, "Input/output error", "metadata.tsv")
        remove(place, ignore_errors=True)

    monkeypatch.setattr(shutil, "rmtree", fail)
    del codes["labels"]
    with pytest.raises(OSError, match="Input/output error") as raised:
        write_projector(tmp_path, codes, label_names=None, images=None)
    assert disk_failure(raised.value, tmp_path) is raised.value
    assert rows_of(tmp_path) == [[str(row)] for row in codes["ids"].tolist()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["projector", "projector_config.pbtxt"]


@pytest.mark.parametrize(("height", "width"), [(40, 30), (23, 19), (5, 9), (7, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_shape(channels, height, width, tmp_path):
    """TensorBoard cannot lay out thumbnails that are higher than they are wide."""
    count, size = 400, max(height, width)
    codes = {"codes": torch.randn(count, 3), "ids": torch.arange(count)}
    images = thumbnails(torch.ones(count, channels, height, width), (0.0, 1.0))
    write_projector(tmp_path, codes, label_names=None, images=images)
    sprite = np.asarray(Image.open(tmp_path / "projector" / "codes" / "sprite.png"))
    assert sprite.shape[:2] == (20 * size, 20 * size)
    assert (sprite.max(2) > 0).sum() == count * height * width
    said = (tmp_path / "projector_config.pbtxt").read_text()
    assert said.count(f"single_image_dim: {size}") == 2


def test_a_flat_image_is_seen():
    assert thumbnails(torch.ones(2, 1, 1, 100), (0.0, 1.0))[0, 0].sum(0).tolist() == [12] * 100


def test_rows_have_the_names_of_the_data(codes, tmp_path):
    del codes["labels"]
    write_projector(tmp_path, codes, label_names=None, images=None, names=list(NAMES))
    shown = [[str(row), name] for name, row in zip(NAMES.values(), codes["ids"].tolist(), strict=True)]
    assert rows_of(tmp_path) == [["id", "name"], *shown]


def broken(*arguments, **keywords):
    raise ValueError("it is\nbroken")


@pytest.fixture
def run(tmp_path):
    """Train a short run on images, with all that it can draw."""

    def trained():
        cfg = compose(
            [
                *("architecture.hidden=[8]", "latent.dim=2", "trainer.max_epochs=3", "trainer=cpu"),
                *("trainer.threads=1", "trainer.progress_bar=none", "callbacks.figures.every_n_epochs=1"),
                *("model=vae", "trainer.log_every_n_steps=1", "callbacks.figures.summary=false"),
            ]
        )
        return train(cfg, tmp_path / "run")

    return trained


@pytest.mark.parametrize(
    ("place", "name", "says"),
    [
        (projector, "write_projector", "the projector could not be written"),
        (fit, "write_hparams", "the HParams row could not be written"),
        (figures, "image_grid", "a figure could not be drawn"),
        (figures, "save_png", "a figure could not be drawn"),
        *((EventFiles, name, "logger.tensorboard failed") for name in ("log_metrics", "log_hyperparams")),
        (EventFiles, "finalize", "logger.tensorboard failed"),
    ],
)
def test_what_can_be_done_without_costs_one_warning(place, name, says, run, monkeypatch, caplog):
    monkeypatch.setattr(place, name, broken)
    assert run().is_done
    warned = [each.getMessage() for each in caplog.records if "it is broken" in each.getMessage()]
    assert warned == [f"warning: {says} (ValueError: it is broken); the run goes on"]


def test_metrics_cannot_be_done_without(run, monkeypatch):
    monkeypatch.setattr(MetricsFile, "_write", broken)
    with pytest.raises(ValueError, match="broken"):
        run()


@pytest.mark.parametrize(("place", "name"), [(projector, "write_projector"), (fit, "write_hparams")])
def test_a_full_disk_ends_the_run_all_the_same(place, name, run, monkeypatch, tmp_path):
    def full(*arguments, **keywords):
        try:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "run" / "file"))
        except OSError as error:
            raise RuntimeError("a file could not be written") from error

    monkeypatch.setattr(place, name, full)
    with pytest.raises(RunFailed, match=r"No space left on device.*isthmus resume"):
        run()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FolderLost("run", None), OSError(errno.EROFS, "")])
def test_what_ends_a_run_is_no_warning(error, tmp_path):
    with pytest.raises(type(error)), holding(tmp_path), WarnOnFailure("nothing was done"):
        raise error


def test_a_disk_of_somebody_else_is_one(tmp_path, caplog):
    (tmp_path / "run").mkdir()
    with holding(tmp_path / "run"), WarnOnFailure("nothing was sent"):
        raise OSError(errno.EACCES, "Permission denied", str(tmp_path / "elsewhere"))
    assert "nothing was sent" in caplog.text
