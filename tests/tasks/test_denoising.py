"""denoise: in Python, as a command on files and folders, and measured on a run's own test set."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import load_breast_cancer, load_digits

import isthmus
from isthmus.common.errors import BadInput
from isthmus.tasks.denoising.filters import FILTERS

from .conftest import KINDS, write_visits


def identity(model, monkeypatch):
    """Let the network of a model return its input."""
    monkeypatch.setattr(model._engine.opened.autoencoder, "reconstruct", lambda x: x)
    return model


def noisy_of(kind, rows=20):
    draw = np.random.default_rng(0)
    if kind == "digits":
        return load_digits().images[:rows] / 16 + draw.normal(0, 0.5, (rows, 8, 8))
    if kind == "photos":
        return draw.normal(0.5, 0.5, (rows, 3, 24, 24))
    if kind == "patches":
        return draw.normal(0.5, 0.5, (rows, 16, 16)).astype(np.float32)
    if kind == "scaled":
        return draw.normal(50, 10, (rows, 5))
    return load_breast_cancer(as_frame=True).data[:rows] if kind == "cancer" else None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "visits"])
def test_at_the_size_of_training_it_is_the_clipped_reconstruction(kind, model_of):
    model, x = model_of(kind), noisy_of(kind)
    made = model.denoise(x)
    assert type(made) is type(x)
    assert made.shape == x.shape
    if kind == "cancer":
        pd.testing.assert_frame_equal(made, model.reconstruct(x))
        return
    assert made.dtype == x.dtype
    clean = np.clip(x, 0, 1) if kind != "scaled" else x
    assert np.isfinite(made).all()
    if kind != "scaled":
        assert made.min() >= 0
        assert made.max() <= 1
        with pytest.raises(BadInput, match="0, 1"):
            model.encode(x)  # which refuses values out of range
    np.testing.assert_allclose(
        model.denoise(clean), np.clip(model.reconstruct(clean), *model.value_range), atol=1e-5
    )


ANY_SIZE = {
    "wide": (3, 8, 40),
    "small": (2, 5, 3),
    "one pixel": (1, 1, 1),
    "large": (2, 50, 33),
    "channel": (2, 1, 20, 20),
    "channels last": (2, 20, 20, 1),
}


@pytest.mark.parametrize("name", ANY_SIZE)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_images_of_any_size_keep_their_place_their_layout_and_their_unit(name, dtype, model_of, monkeypatch):
    model = identity(model_of("digits"), monkeypatch)
    draw = np.random.default_rng(0)
    whole = draw.integers(0, 17, ANY_SIZE[name])
    x = whole.astype(dtype) if np.issubdtype(dtype, np.integer) else (whole / 16).astype(dtype)
    for given in (x, torch.from_numpy(x)):
        made = model.denoise(given, batch_size=1)
        assert type(made) is type(given)
        assert made.dtype == given.dtype
        np.testing.assert_allclose(np.asarray(made), x, atol=1e-6)


def test_tiles_differ_little_from_the_image_at_the_size_of_training(model_of):
    """The middle of a larger image of copies is a mean of shifted tiles; its range is that of pixels."""
    model = model_of("patches")
    made = model.denoise(np.random.default_rng(0).normal(0.5, 0.3, (1, 37, 50)), overlap=0.75)
    assert made.shape == (1, 37, 50)
    assert made.min() >= 0
    assert made.max() <= 1


REFUSED = {
    "NaN": lambda: np.full((1, 8, 8), np.nan),
    "infinite": lambda: np.full((1, 8, 8), np.inf),
    "another unit": lambda: load_digits().images[:9] * 16.0,
    "huge": lambda: np.full((1, 8, 8), 1e30),
    "two ways": lambda: np.zeros((2, 1, 9, 1)),
    "no axis of channels": lambda: np.zeros((2, 3, 9, 9)),
    "one image": lambda: np.zeros((9, 9)),
    "no image": lambda: np.zeros((0, 9, 9)),
    "no pixel": lambda: np.zeros((2, 0, 9)),
    "text": lambda: np.array([["a"]]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_noisy_images_is_refused(name, model_of):
    with pytest.raises(BadInput):
        model_of("digits").denoise(REFUSED[name]())


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan"), "half"])
def test_an_overlap_is_a_share(overlap, model_of):
    with pytest.raises(BadInput, match="overlap"):
        model_of("digits").denoise(np.zeros((1, 9, 9)), overlap=overlap)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("dtype", [np.uint8, ">f8"])
def test_an_array_file_becomes_one_of_the_same_shape_and_type(suffix, dtype, here, run_of, tmp_path):
    model = isthmus.load(run_of("digits"), device="cpu")
    x = np.random.default_rng(0).integers(0, 17, (3000, 12, 9)) / (1 if dtype == np.uint8 else 16)
    x = x.astype(dtype)
    np.save("x.npy", x)
    code, out, err = here("denoise", run_of("digits"), "x.npy", f"y{suffix}", "--device", "cpu")
    assert code == 0, err
    assert "3,000 rows" in out
    made = np.load(f"y{suffix}") if suffix == ".npy" else np.load(f"y{suffix}")["x"]
    assert made.dtype == x.dtype
    np.testing.assert_allclose(made, model.denoise(x), atol=1e-6)
    code, _, err = here("denoise", run_of("digits"), "x.npy", f"y{suffix}")
    assert code == 2
    assert "nothing is overwritten" in err
    assert here("denoise", run_of("digits"), "x.npy", f"y{suffix}", "--overwrite")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", f"y{suffix}"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_is_denoised_by_the_names_of_its_columns(suffix, here, run_of, model_of, tmp_path):
    data = write_visits(tmp_path / "new.csv", rows=5000, seed=3)
    assert here("denoise", run_of("visits"), data, f"out.{suffix}")[0] == 0
    made = pd.read_csv("out.csv") if suffix == "csv" else parquet.read_table("out.parquet").to_pandas()
    assert list(made) == ["patient", *model_of("visits").columns]
    assert made["patient"].tolist() == [f"p{row}" for row in range(5000)]
    expected = model_of("visits").denoise(str(data)).to_pandas()
    np.testing.assert_allclose(made["size"], expected["size"])
    assert made["site"].tolist() == expected["site"].tolist()


MODES = {
    "L": ((20, 31), np.uint8),
    "RGB": ((20, 31, 3), np.uint8),
    "RGBA": ((20, 31, 4), np.uint8),
    "LA": ((20, 31, 2), np.uint8),
    "I;16": ((20, 31), np.uint16),
    "1": ((20, 31), bool),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["photos", "patches"])
def test_an_image_keeps_its_size_mode_and_depth(mode, kind, here, run_of, tmp_path, monkeypatch):
    from isthmus.core.autoencoder import Autoencoder

    monkeypatch.setattr(Autoencoder, "reconstruct", lambda self, x: x)
    shape, dtype = MODES[mode]
    draw = np.random.default_rng(0)
    array = draw.integers(0, 2 if dtype is bool else np.iinfo(dtype).max, shape).astype(dtype)
    if kind == "photos" and mode in ("I;16",):
        array &= 0xFF00  # of a model of bytes no more is asked
    Image.fromarray(array).save("x.png")
    assert Image.open("x.png").mode == mode
    assert here("denoise", run_of(kind), "x.png", "y.png")[0] == 0
    made = Image.open("y.png")
    assert (made.mode, made.size) == (mode, (31, 20))
    np.testing.assert_array_equal(np.array(made), array)


def test_a_folder_keeps_its_names_and_subfolders(here, run_of, tmp_path):
    (tmp_path / "in" / "süß <b>").mkdir(parents=True)
    draw = np.random.default_rng(0)
    sizes = {"a.png": (24, 24), "süß <b>/b.jpg": (50, 30), "c.bmp": (3, 9)}
    for name, size in sizes.items():
        Image.fromarray(draw.integers(0, 256, (*size, 3)).astype(np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("x")
    code, out, err = here("denoise", run_of("photos"), "in", "out")
    assert code == 0, err
    assert "3 images" in out
    assert "skipped" in out
    made = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*.png")}
    assert set(made) == {"a.png", "süß <b>/b.png", "c.png"}
    for name, size in sizes.items():
        assert Image.open(made[name.rpartition(".")[0] + ".png"]).size == size[::-1]
    code, _, err = here("denoise", run_of("photos"), "in", "out")
    assert code == 2
    assert "nothing is overwritten" in err


WRONG = {
    "no output": (["x.npy"], "OUTPUT is missing"),
    "three places": (["x.npy", "y.npy", "z.npy"], "too many"),
    "no input": (["absent.npy", "y.npy"], "there is no such file"),
    "another kind": (["x.npy", "y.csv"], "must end in .npy or .npz"),
    "kind of an image": (["x.png", "y.jpg"], "must end in .png"),
    "no folder": (["x.npy", "absent/y.npy"], "there is no folder"),
    "NaN at the end": (["nan.npy", "y.npy"], "row 3999"),
    "no array": (["broken.npy", "y.npy"], "truncated"),
    "no image": (["broken.png", "y.png"], "cannot be read as an image"),
    "same name": (["twice", "out"], "the same name"),
    "a broken image": (["broken", "out"], "cannot be read as an image"),
    "no images": (["empty", "out"], "there is no image"),
    "overlap": (["x.npy", "y.npy", "--overlap", "1"], "overlap"),
    "a table": (["t.csv", "y.npy"], "must be a folder of images"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_denoised_is_refused_in_one_line_and_leaves_no_file(name, here, run_of, tmp_path):
    images = load_digits().images
    np.save("x.npy", images[:5].astype(np.uint8))
    many = np.tile(images, (3, 1, 1))[:4000] / 16
    many[3999, 0, 0] = np.nan
    np.save("nan.npy", many)
    image = Image.fromarray(images[0].astype(np.uint8))
    image.save("x.png")
    (tmp_path / "broken.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:90])
    (tmp_path / "broken.png").write_bytes((tmp_path / "x.png").read_bytes()[:60])
    for folder in ("twice", "broken", "empty"):
        (tmp_path / folder).mkdir()
    image.save("twice/a.png")
    image.save("twice/a.bmp")
    image.save("broken/a.png")
    (tmp_path / "broken" / "b.png").write_bytes((tmp_path / "broken.png").read_bytes())
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    before = set(tmp_path.rglob("*"))
    arguments, message = WRONG[name]
    code, _, err = here("denoise", run_of("digits"), *arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before


def measured(here, run, *arguments):
    code, out, err = here("denoise", run, "--levels", "0.2,0.5", "--images", "30", *arguments)
    assert code == 0, err
    return out


def test_errors_are_measured_beside_classical_methods(here, run_of, tmp_path):
    from skimage.metrics import peak_signal_noise_ratio

    out = measured(here, run_of("digits"), "-o", "found")
    rows = list(csv.DictReader((tmp_path / "found" / "denoising.csv").open()))
    filters = {name for name in FILTERS if not FILTERS[name].missing}
    expected = {"noisy", "linear estimator", "autoencoder"} | filters
    assert {row["method"] for row in rows} == expected
    assert all(name in out for name in expected)
    for name in set(FILTERS) - expected:
        assert f"{name}: needs pip install" in out
    found = {(float(row["level"]), row["method"]): row for row in rows}
    errors = {key: float(row["mse"]) for key, row in found.items()}
    assert "the model was trained without noise" in out
    worse = [f"{level:g}" for level in (0.2, 0.5) if errors[level, "autoencoder"] > errors[level, "noisy"]]
    assert f"worse than the noisy input at noise of {', '.join(worse)}\n" in out
    for level in (0.2, 0.5):
        best = min(expected, key=lambda name, level=level: errors[level, name])
        assert f"{best} at noise of" in out
        own = found[level, "noisy"]
        assert int(own["rows"]) == 359
        assert float(own["psnr"]) == pytest.approx(-10 * np.log10(float(own["mse"])))
        assert float(found[level, "linear estimator"]["psnr"]) > float(own["psnr"])
        assert int(found[level, "total variation"]["rows"]) == 30
        assert float(found[level, "total variation"]["psnr"]) > float(own["psnr"])
        assert 0 < float(own["ssim"]) < 1
    # clipped noise, drawn anew: PSNR of scikit-image
    model = isthmus.load(run_of("digits"), device="cpu")
    clean = (load_digits().images / 16).astype(np.float32)
    noisy = (clean + np.random.default_rng(1).normal(0, 0.5, clean.shape)).astype(np.float32)
    for made, name in ((np.clip(noisy, 0, 1), "noisy"), (model.denoise(noisy), "autoencoder")):
        psnr = peak_signal_noise_ratio(clean, made, data_range=1)
        assert float(found[0.5, name]["psnr"]) == pytest.approx(psnr, abs=0.3)
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        *("denoising.csv", "denoising.png", "denoised.png"),
    }
    measured(here, run_of("digits"), "-o", "again")
    assert (tmp_path / "again" / "denoising.csv").read_bytes() == (
        tmp_path / "found" / "denoising.csv"
    ).read_bytes()


def test_tables_are_measured_by_their_squared_error(here, run_of, tmp_path):
    out = measured(here, run_of("cancer"), "-o", "found")
    assert "root mean squared error" in out
    rows = list(csv.DictReader((tmp_path / "found" / "denoising.csv").open()))
    assert {row["method"] for row in rows} == {"noisy", "linear estimator", "autoencoder"}
    assert {row["psnr"] for row in rows} == {""}
    noisy = [float(row["mse"]) for row in rows if row["method"] == "noisy"]
    np.testing.assert_allclose(noisy, [0.04, 0.25], rtol=0.1)
    assert not (tmp_path / "found" / "denoised.png").exists()


def test_results_go_into_the_run_folder(here, run_of):
    measured(here, run_of("photos"), "--seed", "3")
    measured(here, run_of("photos"))
    place = run_of("photos") / "denoise" / "test"
    assert {path.name for path in place.iterdir()} == {"denoising.csv", "denoising.png", "denoised.png"}
    assert here("evaluate", run_of("photos"), "trainer.accelerator=cpu")[0] == 0


UNMEASURED = {
    "levels": (["--levels", "0"], "above 0"),
    "text": (["--levels", "a"], "is no list of numbers"),
    "images": (["--images", "0"], "at least 1"),
    "seed": (["--seed", "-1"], "at least 0"),
    "other data": (["data.test_size=0.5"], "are not the data and the split of the run"),
}


@pytest.mark.parametrize("name", UNMEASURED)
def test_what_cannot_be_measured_is_refused(name, here, run_of, tmp_path):
    arguments, message = UNMEASURED[name]
    try:
        code, _, err = here("denoise", run_of("digits"), *arguments, "-o", "new")
    except SystemExit as ended:  # of argparse
        code, err = ended.code, message
    assert code == 2
    assert message in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_filters_keep_the_place_of_pixels_and_remove_noise(name, channels):
    each = FILTERS[name]
    if each.missing:
        pytest.skip(f"needs {each.missing}")
    row, column = torch.meshgrid(torch.arange(32), torch.arange(24), indexing="ij")
    clean = ((row > 10) & (column > 5)).float().expand(2, channels, 32, 24)
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    setting = each.tuned(clean, noisy, 0.3, (0.0, 1.0))
    made = each(noisy, 0.3, setting)
    assert made.shape == clean.shape
    assert (made - clean).square().mean() < 0.35 * (noisy - clean).square().mean()
