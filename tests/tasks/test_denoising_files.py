"""denoise on files: images that are broken, and noise that the model was not trained on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.runs.config.compose import compose
from isthmus.tasks.coding.coder import Coder
from isthmus.tasks.denoising import files

from .conftest import SHORT


def test_broken_images_are_all_named_or_left_out(here, run_of, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for number in range(4):
        Image.new("RGB", (30, 20), (9 * number, 50, 99)).save(f"in/{number}.png")
    for name in ("1b", "2b", "3b"):
        (tmp_path / "in" / f"{name}.png").write_bytes(b"no image")
    made = []

    def denoise(*arguments, original=files.denoise_image, **options):
        made.append(original(*arguments, **options))

    monkeypatch.setattr(files, "denoise_image", denoise)
    code, _, err = here("denoise", run_of("photos"), "in", "out")
    assert code == 2
    assert "INPUT=in: 1b.png, 2b.png, 3b.png cannot be read; " in err
    assert "data.broken=skip" in err
    assert len(made) == 2, "after the first that is broken nothing more is denoised"
    assert not (tmp_path / "out").exists()
    code, out, err = here("denoise", run_of("photos"), "in", "out", "data.broken=skip")
    assert code == 0, err
    assert "3 images that are broken: 1b.png, 2b.png, 3b.png" in out
    assert "4 images denoised" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{number}.png" for number in range(4)}
    code, _, err = here("denoise", run_of("photos"), "in", "new", "data.size=3")
    assert code == 2
    assert "images keep their size" in err
    code, out, err = here("detect", run_of("photos"), "in", "data.broken=skip")
    assert code == 0, err
    assert "3 images that are broken" in out


def test_a_run_that_left_out_broken_images_leaves_them_out_of_new_data(here, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(12):
        Image.new("RGB", (8, 8), (20 * number, 50, 99)).save(f"in/{number}.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    typed = ("data=images", "data.path=in", "data.broken=skip", *SHORT)
    assert here("train", *typed, "name=in")[0] == 0
    for command in (
        ("embed", "in", "in", "--map=pca"),
        ("detect", "in", "in"),
        ("denoise", "in", "in", "out"),
    ):
        code, out, err = here(*command)
        assert code == 0, err
        assert "1 image that is broken: b.png" in out
    with pytest.warns(UserWarning, match=r"1 image that is broken: b\.png"):
        assert len(isthmus.load("in", device="cpu").encode("in")) == 12
    code, _, err = here("embed", "in", "in", "data.broken=refuse")
    assert code == 2
    assert "b.png cannot be read as an image" in err


@pytest.mark.parametrize(
    ("noise", "std", "said"),
    [
        ("none", 0.3, "was trained without noise"),
        ("gaussian noise.std=0", 0.3, "was trained without noise"),
        ("gaussian noise.std=0.3", 0.3, None),
        ("gaussian noise.std=0.1", 0.5, "trained at 0.1, and leaves noise where there is more"),
        ("gaussian noise.std=0.3", 0.01, "trained at 0.3, and takes away detail where there is less"),
        ("masking", 0.3, None),
    ],
)
def test_a_model_of_other_noise_says_so(noise, std, said, here, run_of, tmp_path, monkeypatch):
    """As an array and as a file, whose noise is clipped."""
    config = compose([f"noise={noise}".split()[0], *noise.split()[1:]]).noise
    opened = Coder.__init__

    def trained(self, *arguments):
        opened(self, *arguments)
        self.config["noise"] = dict(config)

    monkeypatch.setattr(Coder, "__init__", trained)
    draw = np.random.default_rng(0)
    x = (0.3 + draw.normal(0, std, (4, 40, 60))).astype(np.float32)
    np.save("x.npy", x)
    Image.fromarray((x[0].clip(0, 1) * 255).astype(np.uint8)).save("x.png")
    for suffix in ("npy", "png"):
        code, out, err = here("denoise", run_of("digits"), f"x.{suffix}", f"y.{suffix}")
        assert code == 0, err
        warned = [line for line in out.splitlines() if line.startswith("warning")]
        assert len(warned) == (said is not None)
        assert said is None or said in warned[0]
