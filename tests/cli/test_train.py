"""`isthmus train`, from the command line to the files of the run folder."""

from __future__ import annotations

import contextlib
import csv
import json
import re

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

ONE_THREAD = "trainer.threads=1"  # the runs of several tests share the cores
ALL_CODES = "callbacks.latents.keep=all"
NO_PICTURES = "callbacks.figures.summary=false"  # at the end, which take as long as the training here
SMALL = ("trainer.max_epochs=2", "trainer.log_every_n_steps=10", "architecture.hidden=[16]", "latent.dim=3")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, starting, ending):
    """Where a VAE was trained on the digits, and what the command printed."""
    place = tmp_path_factory.mktemp("trained")
    ended = ending(starting("train", "model=vae", *SMALL, ONE_THREAD, ALL_CODES, cwd=place))
    assert ended.returncode == 0, ended.stderr
    (run,) = place.glob("outputs/*/*")
    return run, ended


@pytest.fixture(scope="module")
def run(trained):
    return trained[0]


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def values(run, name):
    return [float(row[name]) for row in rows(run) if row[name]]


def accumulated(run):
    """The scalars and images of the run's event files, and the plugin data of its HParams."""
    scalars, images, hparams = {}, set(), {}
    for path in sorted(run.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 1})
        events.Reload()
        tags = events.Tags()
        scalars |= {tag: events.Scalars(tag) for tag in tags["scalars"]}
        images |= set(tags["images"])
        with contextlib.suppress(KeyError):  # of a file without any
            hparams |= events.PluginTagToContent("hparams")
    return scalars, images, hparams


def test_the_folder_is_named_by_data_model_and_time(run):
    assert run.parent.name == "digits_vae"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{6}", run.name)


def test_the_folder_holds_what_the_design_promises(run):
    names = {path.name for path in run.iterdir()}
    assert names >= {
        *("config.yaml", "overrides.yaml", "provenance.json", "status.json", "metrics.csv", "results.json"),
        *("checkpoints", "latents", "figures"),
    }
    assert list(run.glob("events.out.tfevents.*"))
    assert {path.name for path in run.glob("checkpoints/*")} == {"best.ckpt", "last.ckpt"}
    assert list(run.glob("figures/*.png"))
    assert [path.name for path in run.rglob(".*")] == [".lock"], "nothing half written"


def test_the_config_is_resolved_and_the_overrides_are_as_typed(run):
    text = (run / "config.yaml").read_text()
    assert "${" not in text
    config = OmegaConf.load(run / "config.yaml")
    assert config.latent.dim == 3
    assert config.seed == 0
    assert "hydra" not in config
    assert list(OmegaConf.load(run / "overrides.yaml")) == ["model=vae", *SMALL, ONE_THREAD, ALL_CODES]


def test_the_status_says_done_and_where(run):
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "done"
    assert status["epoch"] == 2
    assert status["step"] == json.loads((run / "results.json").read_text())["step"]


def test_the_provenance_names_code_packages_data_and_seed(run):
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert provenance["seed"] == 0
    assert re.fullmatch(r"[0-9a-f]{64}", provenance["data"]["fingerprint"])
    assert re.fullmatch(r"[0-9a-f]{64}", provenance["data"]["split_fingerprint"])
    assert provenance["command"].startswith("isthmus train model=vae")


def test_it_prints_a_table_the_folder_and_what_to_type_next(trained):
    run, ended = trained
    results = json.loads((run / "results.json").read_text())
    printed = {line.split()[0]: line.split() for line in ended.stdout.splitlines() if line.strip()}
    assert float(printed["mse"][-1]) == pytest.approx(results["test/mse"], rel=1e-4)
    assert float(printed["loss"][1]) == pytest.approx(results["train/loss"], rel=1e-4)
    relative = run.relative_to(run.parents[2])
    assert f"run folder: {relative}" in ended.stdout
    assert f"isthmus report {relative}" in ended.stdout
    assert f"isthmus board {relative.parent}" in ended.stdout


def test_without_a_terminal_it_prints_a_plain_line_for_each_epoch(trained):
    _, ended = trained
    lines = [line for line in ended.stdout.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2
    assert all(re.match(r"epoch \d/2  train/loss [\d.e+-]+  val/loss [\d.e+-]+  ", line) for line in lines)
    assert not set("\r\x1b") & set(ended.stdout + ended.stderr)


def test_metrics_has_the_losses_of_steps_and_of_epochs(run):
    assert len(values(run, "train/loss")) == 2
    assert len(values(run, "val/loss")) == 2
    assert len(values(run, "test/loss")) == 1
    steps = [int(float(row["step"])) for row in rows(run) if row["train/loss_step"]]
    total = json.loads((run / "status.json").read_text())["step"]
    assert steps == list(range(10, total + 1, 10))
    assert values(run, "val/loss")[1] < values(run, "val/loss")[0]
    assert values(run, "val/kl")


def test_results_are_the_last_metrics(run):
    results = json.loads((run / "results.json").read_text())
    assert results["test/mse"] == values(run, "test/mse")[-1]
    assert results["val/loss"] == min(values(run, "val/loss"))
    assert len(results["test/kl_per_dimension"]) == 3
    assert sum(results["test/kl_per_dimension"]) == pytest.approx(results["test/kl"], rel=1e-4)


@pytest.mark.parametrize("name", ["best", "last"])
def test_checkpoints_load_without_running_code(run, name):
    checkpoint = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
    assert all(isinstance(weight, torch.Tensor) for weight in checkpoint["state_dict"].values())
    assert checkpoint["metrics"]["val/loss"] in values(run, "val/loss")


@pytest.mark.parametrize("part", ["val", "test"])
def test_latents_hold_codes_ids_labels_and_errors(run, part):
    files = sorted(run.glob(f"latents/step=*_{part}.safetensors"))
    assert len(files) == 2, "one for each checkpoint"
    assert (run / f"latents/best_{part}.safetensors").read_bytes() == files[-1].read_bytes()
    with safe_open(files[-1], "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    count = len(tensors["ids"])
    assert len(set(tensors["ids"].tolist())) == count
    codes = tensors["codes"]
    assert codes.shape == (count, 3)
    assert np.isfinite(codes).all()
    assert set(tensors["labels"].tolist()) == set(range(10))
    # the metric is of the best checkpoint, which here is the last one
    assert tensors["mse"].shape == (count,)
    assert tensors["mse"].mean() == pytest.approx(values(run, f"{part}/mse")[-1], rel=1e-4)


def test_hparams_hold_the_config_and_real_metrics(run):
    scalars, _, hparams = accumulated(run)
    started = plugin_data_pb2.HParamsPluginData.FromString(hparams["_hparams_/session_start_info"])
    row = started.session_start_info.hparams
    assert row["latent.dim"].number_value == 3
    assert row["latent"].string_value == "Gaussian"
    # the columns are what the run logged, so a placeholder would be one of them
    assert "hp_metric" not in scalars
    results = json.loads((run / "results.json").read_text())
    for column in ("test/mse", "test/loss", "val_best/loss"):
        value = results[column.replace("val_best", "val")]
        assert scalars[column][-1].value == pytest.approx(value, rel=1e-6)


def test_tensorboard_has_scalars_and_images(run):
    scalars, images, _ = accumulated(run)
    results = json.loads((run / "results.json").read_text())
    assert scalars["test/mse"][-1].value == pytest.approx(results["test/mse"], rel=1e-6)
    assert len(scalars["train/loss"]) == 2
    assert images


def test_a_sweep_gives_a_folder_for_each_job(here, tmp_path):
    said = here("train", "--multirun", "latent.dim=2,3", "trainer.max_epochs=1", ONE_THREAD, NO_PICTURES)
    assert said.code == 0, said.err
    (sweep,) = tmp_path.glob("outputs/*/*")
    for job, dim in (("0", 2), ("1", 3)):
        assert json.loads((sweep / job / "status.json").read_text())["status"] == "done"
        assert OmegaConf.load(sweep / job / "config.yaml").latent.dim == dim


def test_overrides_may_come_before_and_after_options(here, tmp_path):
    said = here("train", "latent.dim=3", "--cfg", "job", "seed=4")
    assert said.code == 0
    assert "dim: 3" in said.out
    assert "seed: 4" in said.out


def test_jobs_share_a_folder_and_a_refused_one_does_not_stop_the_others(here, tmp_path):
    typed = ("trainer.max_epochs=1", ONE_THREAD, NO_PICTURES)
    said = here("train", "--multirun", "latent.dim=0,2", "model=ae,vae", *typed)
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("isthmus: latent.dim=0: ")
    (sweep,) = tmp_path.glob("outputs/*/*")
    assert {path.name for path in sweep.iterdir() if path.is_dir()} == {"2", "3"}
    assert "kl" in OmegaConf.load(sweep / "3" / "config.yaml").regularizer


OWN_YAML = """# Two matrices of my own
_target_: own_parts.Narrow
width: 5  # between them
"""

OWN_PYTHON = """
import math
from torch import nn
from isthmus.core.architectures.base import Architecture
from isthmus.core.types import EncoderDecoder

class Narrow(Architecture):
    def __init__(self, *, width: int) -> None:
        self.width = width

    def build(self, shape, dim):
        features = math.prod(shape)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(features, self.width), nn.ReLU())
        decoder = nn.Sequential(nn.Linear(dim, features), nn.Unflatten(1, shape))
        return EncoderDecoder(encoder, self.width, decoder)
"""


def test_a_persons_own_architecture(here, tmp_path, monkeypatch):
    yaml = OWN_YAML.replace("own_parts", "own_narrow")
    for name, text in (("conf/architecture/narrow.yaml", yaml), ("code/own_narrow.py", OWN_PYTHON)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    typed = (
        "--config-dir",
        "conf",
        "architecture=narrow",
        "architecture.width=4",
        "trainer.max_epochs=1",
        ONE_THREAD,
        NO_PICTURES,
    )
    monkeypatch.setenv("ISTHMUS_ALLOW", "own_narrow")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    said = here("train", *typed)
    assert said.code == 0, said.err
    (run,) = tmp_path.glob("outputs/*/*")
    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"].values()
    assert (4, 64) in {tuple(weight.shape) for weight in weights}


WRONG = {
    "encoder": (
        "nn.Linear(features, self.width)",
        "nn.Linear(features, self.width + 1)",
        "its encoder gives [2, 6] for 2 examples, but with its width [2, 5] is due",
    ),
    "decoder": (
        "nn.Unflatten(1, shape)",
        "nn.Unflatten(1, (4, 4, 4))",
        "its decoder gives [2, 4, 4, 4] for 2 codes, but for these data [2, 1, 8, 8] is due",
    ),
    "broadcast": (", nn.Unflatten(1, shape)", "", "its decoder gives [2, 64] for 2 codes"),
    "code": (
        "nn.Linear(dim, features)",
        "nn.Linear(dim + 1, features)",
        "data of shape [1, 8, 8] and latent.dim",
    ),
    "no tensor": ("nn.ReLU())", "nn.LSTM(self.width, self.width))", "its encoder gives a tuple"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_architecture_whose_shapes_do_not_fit_is_refused(wrong, here, tmp_path, monkeypatch):
    before, after, says = WRONG[wrong]
    name = f"wrong_{wrong.replace(' ', '_')}"
    assert before in OWN_PYTHON
    (tmp_path / "conf" / "architecture").mkdir(parents=True)
    yaml = OWN_YAML.replace("own_parts", name)
    (tmp_path / "conf" / "architecture" / "narrow.yaml").write_text(yaml)
    (tmp_path / f"{name}.py").write_text(OWN_PYTHON.replace(before, after))
    monkeypatch.setenv("ISTHMUS_ALLOW", name)
    monkeypatch.syspath_prepend(str(tmp_path))
    said = here("train", "--config-dir", "conf", "architecture=narrow", "hydra.run.dir=run", ONE_THREAD)
    assert said.code == 2
    (line,) = said.err.splitlines()
    assert line.startswith(f"isthmus: architecture._target_={name}.Narrow: ")
    assert says in line
    assert not (tmp_path / "run").exists()


NO_META = """
    def forward(self, x):
        if x.is_meta:
            raise NotImplementedError("needs memory")
        torch.rand(1) if not self.training else None
        return super().forward(x)
"""


def test_the_check_of_shapes_leaves_no_trace(here, tmp_path, monkeypatch):
    """Nor where the module does not work without memory, and draws random numbers."""
    results = []
    for name, forward in (("with_meta", ""), ("without_meta", NO_META)):
        text = OWN_PYTHON.replace("nn.Linear(features", "Own(features")
        text = f"import torch\n{text}\nclass Own(nn.Linear):\n    pass\n{forward}"
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / name / "architecture").mkdir(parents=True)
        yaml = OWN_YAML.replace("own_parts", name)
        (tmp_path / name / "architecture" / "narrow.yaml").write_text(yaml)
        monkeypatch.setenv("ISTHMUS_ALLOW", name)
        monkeypatch.syspath_prepend(str(tmp_path))
        typed = ("--config-dir", name, "architecture=narrow", "trainer.max_epochs=1", ONE_THREAD, NO_PICTURES)
        assert here("train", *typed, f"hydra.run.dir=run_{name}").code == 0
        results.append(json.loads((tmp_path / f"run_{name}" / "results.json").read_text()))
    assert results[0] == results[1]


def test_a_batch_of_one_that_cannot_be_normalised_is_refused(here, tmp_path):
    typed = ("architecture=mlp", "architecture.normalization=batch", "data.batch_size=1")
    said = here("train", *typed, "hydra.run.dir=run")
    assert said.code == 2
    (line,) = said.err.splitlines()
    assert line.startswith("isthmus: data.batch_size=1: ")
    assert "at least 2, or architecture.normalization=none" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "typed",
    [
        ("architecture=mlp", "architecture.normalization=layer", "data.batch_size=1"),
        ("architecture=conv", "architecture.channels=[4]", "data.batch_size=1"),
        # 10 batches of 3 and one of a single example, which joins the one before
        ("architecture=mlp", "architecture.normalization=batch", "data.batch_size=3"),
    ],
    ids=str,
)
def test_what_can_be_normalised_is_trained(typed, here):
    conv = ("architecture.normalization=batch",) if "architecture=conv" in typed else ()
    rows = ("data.val_size=0", "data.test_size=1766", "trainer.max_epochs=1", ONE_THREAD, NO_PICTURES)
    said = here("train", *typed, *conv, *rows)
    assert said.code == 0, said.err


def test_a_folder_that_holds_a_run_is_refused_and_kept(here, run):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}
    said = here("train", f"hydra.run.dir={run}", "trainer.max_epochs=1")
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert str(run) in said.err
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")} == before


def test_a_seed_gives_the_same_numbers_again(here, run, tmp_path):
    assert here("train", "model=vae", *SMALL, ONE_THREAD, NO_PICTURES, "hydra.run.dir=again").code == 0
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    assert again == json.loads((run / "results.json").read_text())


def test_training_that_diverges_fails_with_one_line(here, tmp_path):
    said = here("train", *SMALL, "optimizer.lr=1e30", "hydra.run.dir=run")
    assert said.code == 1
    assert re.fullmatch(r"isthmus: training failed: .* at step \d+.*\n", said.err)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "failed"
    assert "TrainingDiverged" in status["traceback"]


def test_ctrl_c_before_it_begins_leaves_no_folder(here, tmp_path, monkeypatch):
    """Hydra has made the folder before; to import and to read data takes seconds."""

    def interrupted(cfg):
        assert list(tmp_path.glob("outputs/*/*")), "there is a folder"
        raise KeyboardInterrupt

    monkeypatch.setattr("isthmus.runs.execution.launch.build", interrupted)
    said = here("train", *SMALL)
    assert (said.code, said.err) == (130, "isthmus: stopped\n")
    assert not (tmp_path / "outputs").exists()
