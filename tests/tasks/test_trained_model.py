"""A trained model on arrays, tensors, tables and images: the same numbers as in training."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_breast_cancer, load_digits

import isthmus
from isthmus.common.errors import BadInput
from isthmus.common.tensor_file import read_tensors, write_tensors
from isthmus.data.examples import locate
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train
from isthmus.tasks.pack import pack

from .conftest import KINDS, SHORT, write_visits


def recorded(run):
    """The codes and errors of the test set that training recorded, and the rows."""
    return load_file(run / "latents" / "best_test.safetensors")


def given(kind, run):
    """All rows of a kind of data, in order, as a person would have them in Python."""
    if kind == "digits":
        return load_digits().images.astype(np.uint8)
    if kind == "photos":
        folder = locate("example:photos")
        return [str(folder / name) for name in sorted(p.relative_to(folder) for p in folder.glob("*/*.png"))]
    if kind == "patches":
        return np.load(locate("example:patches.npy"))
    if kind == "scaled":
        return np.load(run.parent / "scaled.npy")
    if kind == "cancer":
        return load_breast_cancer(as_frame=True).data
    return pd.read_csv(run.parent / "visits.csv")


@pytest.mark.parametrize("kind", KINDS)
def test_codes_and_errors_are_those_of_training(kind, run_of, model_of):
    run, model = run_of(kind), model_of(kind)
    x, latents = given(kind, run), recorded(run)
    rows = latents["ids"].numpy()
    codes, errors = model.encode(x), model.score(x, score="mse")
    np.testing.assert_allclose(codes[rows], latents["codes"].numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(errors[rows], latents["mse"].numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reconstruction_is_the_decoded_code(kind, run_of, model_of):
    run, model = run_of(kind), model_of(kind)
    x = given(kind, run)
    back, decoded = model.reconstruct(x), model.decode(model.encode(x))
    if model.columns is not None:
        assert isinstance(back, pd.DataFrame)
        assert isinstance(decoded, pa.Table)
        assert list(back) == decoded.column_names == model.columns
        pd.testing.assert_frame_equal(back, decoded.to_pandas(), rtol=1e-3)
    elif kind == "digits":
        assert back.dtype == np.uint8
        np.testing.assert_allclose(back, np.clip(decoded[:, 0] * 16, 0, None), atol=0.51)
    elif kind == "photos":
        np.testing.assert_allclose(back, decoded * 255, rtol=1e-3, atol=1e-2)
    else:
        np.testing.assert_allclose(back.reshape(decoded.shape), decoded, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7, 10_000])
def test_the_size_of_a_batch_changes_nothing(batch_size, model_of):
    model, x = model_of("digits"), load_digits().images.astype(np.uint8)[:50]
    np.testing.assert_allclose(model.encode(x, batch_size=batch_size), model.encode(x), atol=1e-5)


LAYOUTS = {
    "NHW": lambda x: x,
    "NCHW": lambda x: x[:, None],
    "NHWC": lambda x: x[..., None],
    "NF": lambda x: x.reshape(len(x), -1),
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1][::-1],
    "int64": lambda x: x.astype(np.int64),
    "big endian": lambda x: x.astype(">i4"),
    "decimal": lambda x: x / 16,
    "float32": lambda x: (x / 16).astype(np.float32),
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "lists": lambda x: x.tolist(),
    "tensor": torch.from_numpy,
    "gradient": lambda x: torch.tensor(x / 16, requires_grad=True),
    "bfloat16": lambda x: torch.tensor(x / 16, dtype=torch.bfloat16),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_array_may_have_any_layout_and_type(name, model_of):
    model, images = model_of("digits"), load_digits().images.astype(np.uint8)[:20]
    x = LAYOUTS[name](images)
    codes, back = model.encode(x), model.reconstruct(x)
    np.testing.assert_allclose(np.asarray(codes), model.encode(images), atol=1e-4)
    assert isinstance(codes, torch.Tensor) == isinstance(back, torch.Tensor) == isinstance(x, torch.Tensor)
    if name != "lists":
        assert back.shape == x.shape
        assert back.dtype == x.dtype


def test_tables_are_read_by_the_names_of_their_columns(model_of):
    model = model_of("cancer")
    frame = load_breast_cancer(as_frame=True).data.iloc[:40]
    codes = model.encode(frame)
    shuffled = frame.sample(frac=1, axis=1, random_state=0).assign(extra="x", diagnosis="?")
    for same in (shuffled, pa.Table.from_pandas(shuffled), frame.to_numpy(), torch.tensor(frame.to_numpy())):
        np.testing.assert_allclose(np.asarray(model.encode(same)), codes, atol=1e-5)
    back = model.reconstruct(frame.set_index(frame.index + 100))
    assert back.index.tolist() == list(range(100, 140))


def test_a_table_comes_back_as_it_was(run_of, model_of):
    model = model_of("visits")
    back = model.reconstruct(pd.read_csv(run_of("visits").parent / "visits.csv", parse_dates=["day"]))
    assert set(back["site"]) <= {"a", "b", "c"}
    assert back["smoker"].dtype == bool
    assert back["day"].between("2024-01-01", "2024-12-31").all()
    assert back["size"].between(1e6 - 10, 1e6 + 10).all()


def test_files_are_read_as_in_training(run_of, model_of, tmp_path):
    digits = load_digits().images.astype(np.uint8)[:30]
    model = model_of("digits")
    np.save(tmp_path / "digits.npy", digits)
    np.savez_compressed(tmp_path / "digits.npz", digits=digits)
    for name in ("digits.npy", "digits.npz"):
        np.testing.assert_allclose(model.encode(tmp_path / name), model.encode(digits), atol=1e-6)
        assert model.reconstruct(tmp_path / name).dtype == np.uint8
    visits = model_of("visits")
    file = write_visits(tmp_path / "new.csv", rows=50, seed=1)
    np.testing.assert_allclose(visits.encode(file), visits.encode(pd.read_csv(file)), atol=1e-6)
    assert visits.reconstruct(str(file)).num_rows == 50
    photos = model_of("photos")
    Image.new("RGB", (24, 24), "red").save(tmp_path / "red.png")
    assert photos.encode(tmp_path / "red.png").shape == (1, 6)
    assert photos.encode([tmp_path / "red.png"] * 3).shape == (3, 6)
    assert photos.reconstruct(locate("example:photos")).shape == (520, 3, 24, 24)


WRONG = {
    "one example": (lambda: np.zeros((8, 8), np.uint8), r"is one example; give a batch: x\[None\]"),
    "shape": (lambda: np.zeros((5, 9, 9), np.uint8), r"must be \[N, 1, 8, 8\]"),
    "empty": (lambda: np.zeros((0, 8, 8), np.uint8), "is empty"),
    "nan": (lambda: np.full((3, 8, 8), np.nan), "row 0.*missing"),
    "unscaled": (lambda: load_digits().images, "decimal numbers must be in .0, 1., and whole numbers from 0"),
    "negative": (lambda: np.full((3, 8, 8), -1), "whole numbers must be from 0 to 16"),
    "text": (lambda: np.array(["a"]), "real numbers"),
    "no such file": (lambda: "absent.npy", "there is no such file"),
    "no paths": (lambda: ["absent.png"], "there is no such file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_model_cannot_read_is_refused_in_one_line(name, model_of):
    make, message = WRONG[name]
    with pytest.raises(BadInput, match=message) as error:
        model_of("digits").encode(make())
    assert "\n" not in str(error.value)


def test_a_table_with_other_columns_is_refused(model_of):
    frame = load_breast_cancer(as_frame=True).data
    model = model_of("cancer")
    with pytest.raises(BadInput, match=r"mean radius.*the run was trained on it"):
        model.encode(frame.drop(columns="mean radius"))
    with pytest.raises(BadInput, match="is empty"):
        model.encode(frame.iloc[:0])
    with pytest.raises(BadInput, match="columns of training in their order"):
        model.encode(frame.to_numpy()[:, :5])


@pytest.mark.parametrize("z", [[1.0] * 16, np.zeros((2, 5)), np.full((2, 16), np.nan), "text", []])
def test_codes_of_another_shape_are_refused(z, model_of):
    with pytest.raises(BadInput, match=r"^z="):
        model_of("digits").decode(z)


def test_the_random_numbers_of_the_caller_stay_as_they_are(run_of, model_of):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = model_of("photos")
    model.reconstruct(np.zeros((3, 24, 24, 3), np.uint8))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_opens_without_its_data_and_without_what_trains(run_of, tmp_path):
    """In a new process, in which the packages that training needs cannot be imported."""
    code = f"""
import sys
for name in ("pytorch_lightning", "hydra", "omegaconf", "tensorboard", "torchmetrics", "lightning_fabric"):
    sys.modules[name] = None
import numpy as np, isthmus
model = isthmus.load({str(run_of("digits"))!r})
print(model.encode(np.zeros((2, 8, 8), np.uint8)).shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "(2, 16)" in done.stdout


def test_an_unfinished_run_opens_too(run_of, tmp_path):
    import shutil

    run = shutil.copytree(run_of("digits"), tmp_path / "run")
    expected = isthmus.load(run).encode(np.ones((2, 8, 8), np.uint8))
    (run / "model.isthmus").unlink()
    np.testing.assert_array_equal(isthmus.load(run).encode(np.ones((2, 8, 8), np.uint8)), expected)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device, run_of):
    with pytest.raises(BadInput, match="device"):
        isthmus.load(run_of("digits"), device=device)


def test_a_run_in_double_precision_opens(tmp_path):
    train(compose([*SHORT, "trainer.max_steps=2", "trainer.precision=64-true"]), tmp_path / "run")
    model = isthmus.load(tmp_path / "run", device="cpu")
    x = load_digits().images.astype(np.uint8)[:5]
    assert model.encode(x).dtype == model.decode(model.encode(x)).dtype == np.float32
    assert np.isfinite(model.detect(x, false_alarm_rate=0.1).score).all()
    assert tmp_path / "out" / "model.onnx" in model.export(tmp_path / "out")


def of_an_older_format(run, to):
    """A copy of a run whose model file has no detector, as that of another format may be."""
    run = shutil.copytree(run, to)
    tensors, about = read_tensors(run / "model.isthmus")
    own = {name: each for name, each in tensors.items() if not name.startswith(("detector.", "held_out."))}
    write_tensors(run / "model.isthmus", own, {**about, "format": 1})
    return run


def test_a_run_with_a_model_file_of_an_older_format_is_fitted_again(run_of, tmp_path, caplog):
    digits = load_digits().images.astype(np.uint8)[:50]
    run = of_an_older_format(run_of("digits"), tmp_path / "run")
    with pytest.raises(BadInput, match="is of an older isthmus; pack its run again"):
        isthmus.load(run / "model.isthmus")
    wanted = isthmus.load(run_of("digits"), device="cpu").detect(digits)
    for said in (1, 0):  # it is kept
        caplog.clear()
        found = isthmus.load(run, device="cpu").detect(digits)
        np.testing.assert_allclose(found.score, wanted.score, rtol=1e-5)
        assert found.threshold == pytest.approx(wanted.threshold, rel=1e-5)
        assert caplog.text.count("fitting the detector to the run's data") == said


def test_a_run_of_an_older_format_whose_data_are_gone_still_encodes(run_of, tmp_path):
    run = of_an_older_format(run_of("scaled"), tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("scaled.npy", "gone.npy"))
    x = np.load(run_of("scaled").parent / "scaled.npy")[:5]
    model = isthmus.load(run, device="cpu")
    np.testing.assert_array_equal(model.encode(x), isthmus.load(run_of("scaled"), device="cpu").encode(x))
    with pytest.raises(BadInput, match=r"has to be fitted to .*gone.npy.*put them back, or train again"):
        model.detect(x)
    np.save(tmp_path / "other.npy", np.zeros((400, 5)))
    (run / "config.yaml").write_text(
        config.replace(str(run_of("scaled").parent / "scaled.npy"), str(tmp_path / "other.npy"))
    )
    with pytest.raises(BadInput, match="have changed since the run was trained"):
        isthmus.load(run, device="cpu").detect(x)
    with pytest.raises(BadInput, match="have changed since the run was trained"):
        pack(run, tmp_path / "packed.isthmus")
    assert not (tmp_path / "packed.isthmus").exists()
