"""The laws that every YAML of conf/ keeps. New files are found by listing, so nothing here names them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors.torch import load_file

from isthmus.common.errors import BadInput
from isthmus.data.fashion_mnist import DEBIAN
from isthmus.data.module import DataModule
from isthmus.data.source import UNBOUNDED, TensorSource
from isthmus.runs.config import build, parts
from isthmus.runs.config.compose import compose, conf_dir
from isthmus.runs.config.validation import check
from isthmus.runs.train import train
from isthmus.training.devices import check_devices
from isthmus.training.step.capture import COMPARED, WATCHED, StepCapture
from isthmus.training.step.eager import EagerGradients
from isthmus.training.step.optimizers import make_optimizer
from isthmus.training.step.training_step import TrainingStep


def choices(group):
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml") if not path.name.startswith("_"))


GROUPS = sorted(folder.name for folder in conf_dir().iterdir() if folder.is_dir() and choices(folder.name))
SHAPES = {"digits": (1, 8, 8), "grey": (1, 28, 28), "colour": (3, 17, 23), "table": (30,)}
# large grey images are slow, and no other kind than the digits
SHAPE_CASES = [
    pytest.param(shape, id=name, marks=[pytest.mark.slow] * (name == "grey"))
    for name, shape in SHAPES.items()
]
ROWS, BATCH = 24, 8

# What is turned off where only the training itself is looked at.
BARE = [
    *(f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector")),
    "logger=csv",
]


def partners(group, choice):
    """A choice alone, or with every partner that it may depend on."""
    if group != "regularizer":
        return [(f"{group}={choice}",)]
    return [(f"regularizer=[{choice}]", f"latent={latent}") for latent in choices("latent")]


def members(*groups):
    return [
        pytest.param(group, choice, id=f"{group}={choice}") for group in groups for choice in choices(group)
    ]


MODEL_GROUPS = ["architecture", "latent", "loss", "regularizer", "objective", "noise", "model"]
MODELS = [
    overrides for group in MODEL_GROUPS for choice in choices(group) for overrides in partners(group, choice)
]


def synthetic(shape):
    """Pixels as bytes for images, unbounded numbers for tables, in a DataModule."""
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 3:
        values = torch.randint(0, 256, (ROWS, *shape), generator=generator, dtype=torch.uint8)
        source = TensorSource(values, unit=1 / 255, value_range=(0.0, 1.0))
    else:
        source = TensorSource(torch.randn(ROWS, *shape, generator=generator), value_range=UNBOUNDED)
    return DataModule(
        source,
        batch_size=BATCH,
        eval_batch_size=BATCH,
        val_size=0,
        test_size=BATCH,
        split_seed=0,
        num_workers=0,
        seed=0,
    )


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests run beside each other, and a sum over several threads has another order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """A cache folder for the whole session, for the examples that are made on first use."""
    return tmp_path_factory.mktemp("cache")


def quiet(*overrides):
    """As `isthmus train OVERRIDES` would compose it, on one CPU thread."""
    return compose([*overrides, "trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none"])


def attempt(call):
    """What `call` gives, or the `BadInput` that it raises."""
    try:
        return call()
    except BadInput as refusal:
        return refusal


@cache
def composed(*overrides):
    cfg = compose(overrides)
    check(cfg)
    return cfg


def built(overrides, shape, seed=0):
    """The model and its data; a skipped test where a part refuses them in one line that says what to do."""
    cfg, data = composed(*overrides), synthetic(shape)
    torch.manual_seed(seed)
    model = attempt(lambda: build.build_autoencoder(cfg, data.source.shape, data.source.value_range))
    if isinstance(model, BadInput):
        assert model.key.partition(".")[0] in cfg, model.key
        assert model.fix
        assert "\n" not in str(model)
        pytest.skip(str(model))
    return model, data


def batches(data, count):
    return [x for group in data.train_dataloader() for x in group.split(data.scaling(group.x))][:count]


def two_steps(model, data):
    """Train; returns the terms of each step and the largest gradient of each parameter over both."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    largest = {name: torch.zeros(()) for name, _ in model.named_parameters()}

    def record():
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, f"no gradient reaches {name}"
            assert parameter.grad.isfinite().all(), name
            largest[name] = torch.maximum(largest[name], parameter.grad.abs().max())

    train_step = TrainingStep(EagerGradients(model, torch.Tensor.backward), [optimizer], record)
    model.train()
    terms = [train_step(x, epoch=torch.tensor(0.5 + step)) for step, x in enumerate(batches(data, 2))]
    return terms, largest


@pytest.mark.parametrize(("group", "choice"), members(*GROUPS))
def test_every_choice_composes_and_keeps_the_rules(group, choice):
    value = f"[{choice}]" if group == "regularizer" else choice
    cfg = attempt(lambda: composed(f"{group}={value}"))
    if isinstance(cfg, BadInput):
        assert group == "logger", cfg
        assert f'pip install "isthmus[{choice}]"' in str(cfg)


@pytest.mark.parametrize("shape", SHAPE_CASES)
@pytest.mark.parametrize("overrides", MODELS, ids="_".join)
def test_trains_and_every_parameter_has_its_gradient(overrides, shape):
    model, data = built(overrides, shape)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    terms, largest = two_steps(model, data)
    for step in terms:
        assert step.shape == (2 + len(model.regularizers),)  # loss, reconstruction, regularizers
        assert step.isfinite().all()
        assert not step.requires_grad
    for name, parameter in model.named_parameters():
        assert largest[name] > 0, f"no gradient reaches {name}"
        assert not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("shape", SHAPE_CASES)
@pytest.mark.parametrize("overrides", MODELS, ids="_".join)
def test_can_be_recorded_with_the_bits_of_python(overrides, shape):
    """What is shipped decides nothing anew in Python at each batch; see `training.step.capture`."""
    model, data = built(overrides, shape)
    recorder = StepCapture(model.train())
    [x] = batches(data, 1)
    for step in range(WATCHED + COMPARED + 1):
        torch.manual_seed(step)
        recorder(x, torch.tensor(0.5 + step), 1.0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.999)
    assert recorder.replay_count == COMPARED + 1


@pytest.mark.parametrize("shape", SHAPE_CASES)
@pytest.mark.parametrize("overrides", MODELS, ids="_".join)
def test_saves_and_loads(overrides, shape, tmp_path):
    model, data = built(overrides, shape)
    two_steps(model, data)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    again, _ = built(overrides, shape, seed=1)
    [x] = batches(data, 1)
    with torch.no_grad():
        reconstruction = model.eval().reconstruct(x)
        assert not torch.equal(again.eval().reconstruct(x), reconstruction)
        again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        assert torch.equal(again.reconstruct(x), reconstruction)
    assert reconstruction.shape == x.shape
    assert reconstruction.isfinite().all()


def refused(overrides, shape):
    try:
        built(overrides, shape)
    except pytest.skip.Exception:
        return True
    return False


@pytest.mark.parametrize(("group", "choice"), members(*MODEL_GROUPS))
def test_every_choice_works_on_images(group, choice):
    assert not all(refused(overrides, (1, 28, 28)) for overrides in partners(group, choice))


@pytest.mark.parametrize("choice", choices("optimizer"))
def test_every_optimizer_moves_every_weight(choice):
    cfg = composed(f"optimizer={choice}")
    keys = OmegaConf.create({key: value for key, value in cfg.optimizer.items() if key != "fused"})
    model, data = built([], (1, 8, 8))
    make = parts.part("optimizer", build.plain(keys), object, _partial_=True)
    optimizer = make_optimizer(
        make, model.parameters(), fused=cfg.optimizer.fused, device=torch.device("cpu")
    )
    before = [parameter.clone() for parameter in model.parameters()]
    train_step = TrainingStep(EagerGradients(model, torch.Tensor.backward), [optimizer])
    for x in batches(data, 2):
        train_step(x, epoch=None)
    for parameter, then in zip(model.parameters(), before, strict=True):
        assert parameter.isfinite().all()
        assert not torch.equal(parameter, then)


@pytest.mark.parametrize(("group", "choice"), members("scheduler", "callbacks"))
def test_every_choice_runs(group, choice, tmp_path):
    cfg = quiet(f"{group}={choice}", "data.batch_size=512", "trainer.max_epochs=2", "logger=csv")
    folder = train(cfg, tmp_path / "run")
    assert folder.read_json(folder.status)["status"] == "done"


@pytest.mark.parametrize("choice", choices("trainer"))
def test_every_trainer_runs_here_or_says_what_it_lacks(choice, tmp_path):
    limits = ["trainer.max_steps=2", "trainer.threads=1", "trainer.progress_bar=none"]
    cfg = compose([f"trainer={choice}", *limits, *BARE])
    check(cfg)
    processes = attempt(lambda: check_devices(cfg.trainer.accelerator, cfg.trainer.devices))
    if isinstance(processes, BadInput):
        assert processes.key.startswith("trainer.")
        with pytest.raises(BadInput, match=f"^{processes.key}=.*{processes.fix}"):
            train(cfg, tmp_path / "run")
        assert not (tmp_path / "run").exists()
    elif processes == 1:
        folder = train(cfg, tmp_path / "run")
        assert folder.read_json(folder.status)["status"] == "done"


@pytest.mark.parametrize("choice", choices("logger"))
def test_every_logger_runs_here_or_names_its_package(choice, tmp_path):
    cfg = quiet(f"logger={choice}", "trainer.max_steps=2", *BARE[:-1])
    folder = attempt(lambda: train(cfg, tmp_path / "run"))
    if isinstance(folder, BadInput):
        assert f'pip install "isthmus[{choice}]"' in str(folder)
        assert not (tmp_path / "run").exists()
        return
    assert folder.metrics.is_file()
    assert folder.read_json(folder.status)["status"] == "done"


def weights(folder, name="last"):
    return torch.load(folder.checkpoint(name), weights_only=True)["state_dict"]


# training/test_determinism.py trains each of them twice in `make test`
@pytest.mark.parametrize(
    "model", [pytest.param(each, marks=[pytest.mark.slow] * (each != "vae")) for each in choices("model")]
)
def test_a_seed_decides_every_bit(model, tmp_path):
    cfg = quiet(f"model={model}", "architecture.dropout=0.1", "seed=3", "trainer.max_steps=6", *BARE)
    first, again = train(cfg, tmp_path / "first"), train(cfg, tmp_path / "again")
    for name, tensor in weights(first).items():
        assert torch.equal(weights(again)[name], tensor), name
    assert first.metrics.read_bytes() == again.metrics.read_bytes()
    assert first.results.read_bytes() == again.results.read_bytes()


def test_another_seed_is_another_run_on_the_same_split(tmp_path):
    first, other = (
        train(quiet(f"seed={seed}", "trainer.max_steps=2", *BARE), tmp_path / str(seed)) for seed in (0, 1)
    )
    assert first.metrics.read_bytes() != other.metrics.read_bytes()
    splits = [run.read_json(run.provenance)["data"]["split_fingerprint"] for run in (first, other)]
    assert splits[0] == splits[1]


def experiments():
    """Those on 70,000 images are slow; `make test` trains the textbook's in test_readme.py."""
    for name in choices("experiment"):
        real = "fashion_mnist" in (conf_dir() / "experiment" / f"{name}.yaml").read_text()
        yield pytest.param(name, marks=[pytest.mark.slow] * real)


@pytest.mark.parametrize("experiment", list(experiments()))
def test_every_experiment_leaves_a_whole_run_folder(experiment, examples, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(examples))
    overrides = [
        f"experiment={experiment}",
        "trainer.max_steps=4",
        "trainer.log_every_n_steps=2",
        "callbacks.figures.summary=false",
    ]
    cfg = quiet(*overrides)
    if "channels" in cfg.architecture:
        overrides.append("architecture.channels=[8,16]")  # the real data in a small model
        cfg = quiet(*overrides)
    if "fashion_mnist" in cfg.data._target_ and not DEBIAN.is_dir():
        pytest.skip("Fashion-MNIST is not on this machine (Debian's package dataset-fashion-mnist)")
    folder = train(cfg, tmp_path / "run", overrides=overrides)

    assert folder.read_json(folder.status)["status"] == "done"
    assert OmegaConf.to_container(folder.read_config()) == OmegaConf.to_container(cfg, resolve=True)
    assert "${" not in folder.config.read_text()
    assert OmegaConf.load(folder.overrides) == overrides

    provenance = folder.read_json(folder.provenance)
    split = provenance["data"]["split"]
    assert provenance["seed"] == cfg.seed
    assert len(provenance["data"]["fingerprint"]) == len(provenance["data"]["split_fingerprint"]) == 64
    assert provenance["packages"]["torch"] == torch.__version__

    results = folder.read_json(folder.results)
    assert (results["epoch"], results["step"]) == (1, 4)
    assert all(math.isfinite(results[name]) for name in ("train/loss", "test/loss", "test/mse"))
    assert ("val/loss" in results) == bool(split["val"])
    logged = np.genfromtxt(folder.metrics, delimiter=",", names=True, deletechars="")
    assert (logged["train/loss_step"] > -np.inf).sum() == 2
    for name, value in results.items():
        if name in logged.dtype.names and "/" in name:
            assert value in logged[name], name

    assert sum(tensor.numel() for tensor in weights(folder).values()) >= results["parameters"]
    assert weights(folder).keys() == weights(folder, "best").keys()
    for part in ("val", "test"):
        files = list(folder.latents.glob(f"step=*_{part}.safetensors"))
        assert len(files) == bool(split[part])
        for file in files:
            codes = load_file(file)
            assert codes["codes"].shape == (split[part], cfg.latent.dim)
            assert codes["codes"].isfinite().all()
            assert len(codes["ids"].unique()) == split[part]
    assert list(folder.path.glob("events.out.tfevents.*"))
    assert bool(list(folder.figures.glob("*.png"))) == (len(provenance["data"]["shape"]) == 3)


OTHERS = {  # another value for a key of each group, and for each key of its own
    "seed": 5,
    "data.batch_size": 7,
    "architecture.hidden": [3],
    "latent.dim": 3,
    "loss.reduction": "mean",
    "optimizer.lr": 0.5,
    "trainer.max_epochs": 7,
    "callbacks.figures.columns": 7,
}


@pytest.mark.parametrize("key", OTHERS)
@pytest.mark.parametrize("group", ["experiment", "model"])
def test_what_a_person_sets_counts(group, key, tmp_path):
    """Shipped defaults, then choices and presets, then experiments, then what is typed."""
    *groups, last = key.split(".")
    content = {last: OTHERS[key]}
    for name in reversed(groups):
        content = {name: content}
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text("# @package _global_\n" + yaml.safe_dump(content))
    own = [f"{group}=mine"]
    assert OmegaConf.select(compose(own, config_dirs=[tmp_path]), key) == OTHERS[key]
    shipped = OmegaConf.select(composed(), key)
    typed = compose([*own, f"{key}={shipped}"], config_dirs=[tmp_path])
    assert OmegaConf.select(typed, key) == shipped
