"""A run's config names code: whatever it names, and wherever, is refused before it is imported or called."""

from __future__ import annotations

import pytest

PARTS = (
    *(
        "data",
        "architecture",
        "latent",
        "loss",
        "regularizer.kl",
        "objective",
        "noise",
        "optimizer",
        "scheduler",
    ),
    *("logger.tensorboard", "logger.another"),
)
ELSEWHERE = ("trainer", "callbacks", "callbacks.checkpoint", "regularizer", "logger")

# what anyone would try first
FOREIGN = (
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "pickle.loads",
    "shutil.rmtree",
    "pathlib.Path.touch",
    "importlib.import_module",
    "runpy.run_path",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load",
    "hydra.utils.instantiate",
    "hydra.utils.get_method",
    "pytorch_lightning.Trainer",
    "lightning_fabric.utilities.cloud_io._load",
    "isthmus",
    "os",
    "",
    "..system",
    "os.system ",
    "os .system",
    "isthmus.core.losses\n.os",
    7,
    ["os.system"],
    {"_target_": "os.system"},
)

# what is reached through isthmus and torch.optim, is none of their classes, or is one of another kind
THROUGH_OURS = (
    ("data", "isthmus.data.arrays.np.load"),
    ("data", "isthmus.data.arrays.np"),
    ("data", "isthmus.data.examples.os.system"),
    ("data", "isthmus.data.download.fetch"),
    ("data", "isthmus.data.examples.locate"),
    ("data", "isthmus.data.examples.TemporaryDirectory"),
    ("data", "isthmus.data.images.ThreadPoolExecutor"),
    ("data", "isthmus.data.arrays.Source"),
    ("data", "isthmus.data.source.Source.__init__"),
    ("data", "isthmus.data.formats.array_file.ArrayFile"),
    ("data", "isthmus.data.module.DataModule"),
    ("data", "isthmus.data.nothing.Here"),
    ("data", "isthmus.core.losses.mse.MSE"),
    ("architecture", "isthmus.core.architectures.base.torch.load"),
    ("architecture", "isthmus.core.architectures.base.EncoderDecoder"),
    ("latent", "isthmus.core.latents.base.torch.nn.Linear"),
    ("loss", "isthmus.data.digits.Digits"),
    ("loss", "isthmus.core.losses.base.torch.load"),
    ("loss", "isthmus.core.losses.base.BadInput"),
    ("loss", "isthmus.core.losses.mse.Loss"),
    ("loss", "isthmus.training.checkpoint.io.torch.load"),
    ("loss", "isthmus.training.checkpoint.io.AtomicCheckpointIO"),
    ("loss", "isthmus.runs.train.train"),
    ("loss", "isthmus.runs.evaluate.evaluate"),
    ("loss", "isthmus.cli.main.main"),
    ("loss", "isthmus.__main__.command"),
    ("regularizer.kl", "isthmus.core.noise.gaussian.Gaussian"),
    ("objective", "isthmus.core.objectives.base.nn.Module"),
    ("noise", "isthmus.core.losses.mse.MSE"),
    ("optimizer", "torch.load"),
    ("optimizer", "torch.optim.lr_scheduler.StepLR"),
    ("optimizer", "torch.optim.swa_utils.AveragedModel"),
    ("optimizer", "torch.optim.optimizer.torch.load"),
    ("optimizer", "torch.optim.adam.cast"),
    ("optimizer", "torch.optim.sys.exit"),
    ("optimizer", "isthmus.training.optimizers.orthogonal"),
    ("optimizer", "isthmus.training.optimizers.AdamW"),
    ("optimizer", "isthmus.training.optimizers.math.sqrt"),
    ("optimizer.lr", "isthmus.training.optimizers.Muon"),
    ("scheduler", "isthmus.training.schedulers.math.factorial"),
    ("scheduler", "isthmus.training.schedulers.LambdaLR"),
    ("scheduler", "isthmus.training.step.optimizers.make_optimizer"),
    ("logger.tensorboard", "isthmus.training.loggers.EventFiles"),
    ("logger.tensorboard", "isthmus.training.loggers.Path"),
    ("logger.tensorboard", "isthmus.training.loggers.TensorBoardLogger"),
    ("logger.tensorboard", "pytorch_lightning.loggers.CSVLogger"),
)

# Hydra makes what is named inside of a part before it makes the part
INSIDE = (
    ("data.test_size", "evil_parts.evil"),
    ("data.test_size.deeper.still", "evil_parts.evil"),
    ("architecture.activation", "evil_parts.evil"),
    ("latent.dim", "evil_parts.evil"),
    ("loss.reduction", "evil_parts.evil"),
    ("regularizer.kl.weight", "evil_parts.evil"),
    ("regularizer.kl.weight.a.b.c", "evil_parts.evil"),
    ("objective.x", "evil_parts.evil"),
    ("noise.std", "evil_parts.evil"),
    ("optimizer.lr", "evil_parts.evil"),
    ("scheduler.factor", "evil_parts.evil"),
    ("logger.tensorboard.x", "evil_parts.evil"),
    ("trainer.max_epochs", "evil_parts.evil"),
    ("callbacks.figures.columns", "evil_parts.evil"),
    # isthmus' own parts take no parts
    ("data.test_size", "isthmus.data.formats.array_file.ArrayFile"),
    ("logger.tensorboard.x", "isthmus.training.loggers.EventFiles"),
    ("optimizer.lr", "torch.optim.Adam"),
    ("loss.reduction", "isthmus.core.losses.mse.MSE"),
)


@pytest.mark.parametrize("group", [*PARTS, *ELSEWHERE])
def test_a_strangers_class_in_each_place(group, run, change, refused, evil_parts):
    change(f"{group}._target_", "evil_parts.Evil")
    refused(
        "evaluate", run, says=(f"{group}._target_=evil_parts.Evil", "trust=true", "ISTHMUS_ALLOW=evil_parts")
    )


@pytest.mark.parametrize("target", FOREIGN, ids=repr)
def test_foreign_code(target, run, change, refused, canary):
    change("loss", {"_target_": target, "command": f"touch {canary}"})
    refused("evaluate", run, says=("loss._target_=", str(target).partition("\n")[0]))


@pytest.mark.parametrize(("group", "target"), THROUGH_OURS)
def test_what_is_reached_through_our_own_modules(group, target, run, change, refused):
    change(f"{group}._target_", target)
    refused("evaluate", run, says=(f"{group}._target_={target}",))


@pytest.mark.parametrize(("key", "target"), INSIDE)
def test_inside_of_a_part(key, target, run, change, refused, evil_parts):
    change(key, {"_target_": target})
    refused("evaluate", run, says=(f"{key}._target_={target}", "trust=true"))


@pytest.mark.parametrize("key", ["architecture.hidden", "optimizer.betas", "data.columns", "trainer.devices"])
def test_inside_of_a_list(key, run, change, refused, evil_parts):
    change(key, [1, [{"x": {"_target_": "evil_parts.evil"}}]])
    refused("evaluate", run, says=(f"{key}[1][0].x._target_=evil_parts.evil",))


@pytest.mark.parametrize("group", ["loss", "optimizer", "regularizer.kl", "data.test_size"])
@pytest.mark.parametrize(
    ("directive", "value"),
    [("_args_", [1]), ("_partial_", True), ("_recursive_", False), ("_convert_", "object")],
)
def test_directives_to_hydra(group, directive, value, run, change, refused):
    change(group, {"_target_": "isthmus.core.losses.mse.MSE", directive: value})
    refused("evaluate", run, says=(f"{group}.{directive}={str(value).lower() if value is True else ''}",))


def test_a_class_named_by_an_override_of_the_run(run, refused, evil_parts):
    refused("evaluate", run, "loss._target_=evil_parts.Evil", says=("loss._target_=evil_parts.Evil",))


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_trust_is_nothing_that_a_config_can_say(value, run, change, refused, evil_parts):
    change("loss._target_", "evil_parts.Evil")
    change("trust", value)
    refused("evaluate", run, says=("loss._target_=evil_parts.Evil",))
    change("loss._target_", "isthmus.core.losses.bce.BCE")
    refused("evaluate", run, says=("trust=", "there is no such key"))


def test_a_config_that_is_trained(refused, evil_parts):
    refused("train", "loss._target_=evil_parts.Evil", says=("loss._target_=evil_parts.Evil",))


def test_a_name_that_other_keys_are_put_together_to(refused, evil_parts):
    typed = ("loss._target_=${loss.reduction}.Evil", "loss.reduction=evil_parts")
    refused("train", *typed, says=("loss._target_=evil_parts.Evil",))
