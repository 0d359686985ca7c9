"""A mistake is refused in one line that names key, value and fix, and leaves no folder behind."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from isthmus.runs.config import validation

IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@pytest.fixture
def files(tmp_path):
    """Good and bad data of every source, named in the cases below."""
    rng = np.random.default_rng(0)
    good = rng.random((50, 4), dtype=np.float32)
    holes = good.copy()
    holes[3, 1], holes[7, 2] = np.nan, np.inf
    np.save(tmp_path / "good.npy", good)
    np.save(tmp_path / "signed.npy", good * 4 - 2)
    np.save(tmp_path / "holes.npy", holes)
    np.savez(tmp_path / "whole.npz", x=good)
    for name, source in (("cut.npy", "good.npy"), ("cut.npz", "whole.npz")):
        (tmp_path / name).write_bytes((tmp_path / source).read_bytes()[:200])
    (tmp_path / "good.csv").write_text(
        "a,b,c,d\n" + "".join(",".join(map(str, row)) + "\n" for row in good.tolist())
    )
    (tmp_path / "holes.csv").write_text("a,b\n1,2\n3,\n5,6\n7,8\n")
    (tmp_path / "infinite.csv").write_text("a,b\n1,2\n3,inf\n5,6\n7,8\n")
    (tmp_path / "text.csv").write_text("size,colour\n1,red\n3,green\n5,blue\n")
    (tmp_path / "header.csv").write_text("a,b\n")
    for name in ("empty.npy", "empty.npz", "empty.csv", "empty.parquet"):
        (tmp_path / name).touch()
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    for folder in ("pictures", "nothing", "fashion"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pictures" / "broken.png").write_bytes(b"not a picture")
    for name in IDX:
        (tmp_path / "fashion" / f"{name}-ubyte.gz").write_bytes(gzip.compress(bytes(5000))[:20])


# what is typed after `isthmus train` -> what the line has to say
KEYS = {
    "latent.dm=3": ("latent.dm=3", "did you mean latent.dim?"),
    "optimizer.lrr=1": ("optimizer.lrr=1", "did you mean optimizer.lr?"),
    "architecture=conv architecture.chanels=[8]": ("chanels=[8]", "did you mean architecture.channels?"),
    "+latent.foo=1": ("latent.foo=1", "known: dim"),
    "+latent.dimm=1": ("latent.dimm=1", "did you mean latent.dim?"),
    "+trainer.foo=1": ("trainer.foo=1", "max_epochs"),
    "+trainer.max_epoch=1": ("trainer.max_epoch=1", "did you mean trainer.max_epochs?"),
    "+logger.tensorboard.foo=1": ("logger.tensorboard.foo=1", "there is no such key"),
    "foo=1": ("foo=1", "isthmus train --cfg job"),
    "+foo=1": ("foo=1", "known: seed"),
    "noise.std=0.5": ("noise.std=0.5", "noise=gaussian"),
    "regularizer.kl.weight=2": ("regularizer.kl.weight=2", "regularizer=kl"),
    "+regularizer.kl.weight=2": ("regularizer.kl=", "regularizer=[kl]"),
    "~latent.dim": ("latent.dim=", "is missing"),
    "~data.batch_size": ("data.batch_size=", "is missing"),
    "~latent": ("latent=", "is missing"),
}

CHOICES = {
    "latent=gausian": ("latent=gausian", "did you mean latent=gaussian?"),
    "model=vea": ("model=vea", "did you mean model=vae?"),
    "regularizer=[kll]": ("regularizer=kll", "did you mean regularizer=kl?"),
    "experiment=textbok": ("experiment=textbok", "did you mean experiment=textbook?"),
    "trainer=quantum": ("trainer=quantum", "choices: auto, cpu, ddp, ddp_cpu, gpu"),
    "latnet=gaussian": ("latnet=gaussian", "did you mean latent?"),
    "data=null": ("data=null", "must be one of arrays, digits"),
    "logger=[]": ("logger=[]", "must be one of csv, mlflow, tensorboard"),
    "data=[1,2]": ("data=[1,2]", "must be one of arrays, digits"),
    "latent=[[1],[2]]": ("latent=[[1],[2]]", "must be one of gaussian, plain"),
    "model=${": ("model=${", "cannot be read"),
    "model=${seed}": ("model=${seed}", "must be one of ae, beta_vae"),
    "experiment=[null]": ("experiment=[null]", "must be one of digits_2d"),
    "data=3": ("data=3", "must be one of arrays, digits"),
}

TYPED = {
    "latent.dim": ("latent.dim=", "KEY=VALUE"),
    "latent.dim=[1,": ("latent.dim=[1,", "cannot be read"),
    f"latent.dim=1{'0' * 5000}": ("latent.dim=1000", "more digits than can be read"),
    "latent.dim=${nothing}": ("latent.dim=${nothing}", "'nothing' not found"),
    "callbacks.checkpoint=${nothing}": ("callbacks.checkpoint=${nothing}", "'nothing' not found"),
    "callbacks.checkpoint=[1]": ("callbacks.checkpoint=[1]", "a list stays a list"),
    "callbacks.checkpoint={a:1}": ("callbacks.checkpoint={a:1}", "no key a in callbacks.checkpoint"),
    "data=arrays data.path=\\${oc.env:HOME}/x.npy": ("data.path=${oc.env:HOME}/x.npy", "must not have ${"),
    "=3": ("=3", "KEY=VALUE"),
    "latent.dim=1,2": ("latent.dim=1,2", "--multirun"),
    "--foo": ("--foo", "isthmus train --help"),
    "--config-dir nowhere": ("--config-dir=nowhere", "no such folder"),
    "hydra.run.dir=good.npy": ("hydra.run.dir", "good.npy", "another folder"),
}

VALUES = {
    **{
        f"latent.dim={value}": (f"latent.dim={value}", "whole number of at least 1")
        for value in ("0", "-3", "2.5", "abc", "null")
    },
    "data.batch_size=0": ("data.batch_size=0", "whole number of at least 1"),
    "data.val_size=-1": ("data.val_size=-1", "fraction"),
    "data.test_size=5000": ("data.test_size=5000", "1797"),
    "optimizer.lr=-1": ("optimizer.lr=-1", "above 0"),
    "optimizer.lr=nan": ("optimizer.lr=nan", "above 0"),
    "optimizer.eps=-1": ("optimizer=", "'eps': -1", "torch.optim.Adam"),
    "optimizer.betas=3": ("optimizer=", "'betas': 3", "torch.optim.Adam"),
    "optimizer.betas=[]": ("optimizer=", "'betas': []", "torch.optim.Adam"),
    "optimizer.fused=maybe": ("optimizer.fused=maybe", "auto"),
    "seed=-1": ("seed=-1", "at least 0"),
    "seed=99999999999": ("seed=99999999999", "below 4294967296"),
    "trainer.channels_last=7": ("trainer.channels_last=7", "must be one of auto, true, false"),
    "trainer.progress_bar=no_": ("trainer.progress_bar=no_", "must be one of auto, none, true, false"),
    "trainer.accelerator=cpu trainer.precision=16-mixed": ("trainer.precision=16-mixed", "bf16-mixed"),
    "trainer.max_epochs=0": ("trainer.max_epochs=0", "at least 1"),
    "trainer.threads=1000000": ("trainer.threads=1000000", "at most 1024"),
    "data.split_seed=99999999999999999999999": ("data.split_seed=99999999999999999999999", "at most"),
    "data.eval_batch_size=99999999999999999999": ("data.eval_batch_size=99999999999999999999", "at most"),
    "latent.dim=10000000000": ("architecture=as composed", "parameters", "GB are free", "latent.dim"),
    "latent.dim=1000000000000000": ("architecture=as composed", "parameters"),
    "architecture.hidden=[10000000000]": ("architecture.hidden=10000000000", "at most 100000000"),
    "architecture.hidden=[100000000,100000000]": ("architecture=as composed", "parameters", "GB are free"),
    "trainer.accelerator=tpu": ("trainer.accelerator=tpu", "must be one of auto, cpu"),
    "trainer.num_nodes=2": ("trainer.num_nodes=2", "torchrun"),
    "trainer=ddp_cpu trainer.devices=99": ("trainer.devices=99", "CPU cores"),
    "trainer=ddp_cpu latent.dim=0": ("latent.dim=0", "at least 1"),
    "trainer=ddp_cpu data=arrays data.path=holes.npy": ("data.path=holes.npy", "3, 7"),
    "architecture.hidden=[]": ("architecture.hidden=[]", "architecture=linear"),
    "architecture.hidden=[0]": ("architecture.hidden=0", "at least 1"),
    "architecture.activation=foo": ("architecture.activation=foo", "relu"),
    "regularizer=l1_activity regularizer.l1_activity.weight=-1": (
        "regularizer.l1_activity.weight=-1",
        "at least 0",
    ),
    "latent._target_=nothing.Here": ("latent._target_=nothing.Here", "ISTHMUS_ALLOW=nothing"),
    "callbacks.early_stopping.enabled=true callbacks.early_stopping.monitor=val/foo": (
        "callbacks.early_stopping.monitor=val/foo",
        "val/loss",
    ),
    "callbacks.early_stopping.enabled=true data.val_size=0": ("monitor=val/loss", "data.val_size=0"),
    "callbacks.early_stopping.monitor=null": ("callbacks.early_stopping.monitor=null", "name of a metric"),
    "callbacks.checkpoint.monitor=null": ("callbacks.checkpoint.monitor=null", "name of a metric"),
    "callbacks.figures.enabled=maybe": ("callbacks.figures.enabled=maybe", "true or false"),
}

PARTS = {
    "model=vae latent=plain": ("regularizer=kl", "latent=gaussian"),
    "data=arrays data.path=signed.npy loss=bce": ("loss=bce", "[0, 1]", "loss=mse"),
    "data=table data.path=good.csv architecture=conv": ("architecture=conv", "[4]", "architecture=mlp"),
    "data=table data.path=good.csv architecture=resnet": ("architecture=resnet", "[4]", "architecture=mlp"),
    "data=table data.path=good.csv noise=salt_and_pepper": ("noise=salt_and_pepper", "noise=gaussian"),
    "data=arrays data.path=good.npy data.scaling=standardize noise=salt_and_pepper": (
        "noise=salt_and_pepper",
        "noise=gaussian",
    ),
}

DATA = {
    "data=arrays": ("data.path=null", "data.path=FILE.npy"),
    "data=table": ("data.path=null", "data.path=FILE.csv"),
    "data=images": ("data.path=null", "data.path=FOLDER"),
    "data=arrays data.path=holes.npy": ("data.path=holes.npy", "2 of 50 rows", "3, 7"),
    "data=table data.path=infinite.csv": ("data.path=infinite.csv", "infinite", "'b' in row 1"),
    "data=table data.path=holes.csv": ("data.missing=refuse", "1 cell is", "'b' in row 1", "data.drop=[b]"),
    "data=table data.path=good.csv data.columns=[]": ("data.columns=[]", "no feature column is left"),
    f"data=table data.path={'x' * 5000}.csv": ("data.path=xxx", "cannot be looked up", "too long"),
    f"data=arrays data.path=whole.npz data.labels={'x' * 5000}.npy": ("data.labels=xxx", "too long"),
    "data=table data.path=text.csv data.categorical=refuse": (
        "data.path=text.csv",
        "data.drop=[colour]",
        "data.categorical=onehot",
    ),
    "data=table data.path=header.csv": ("data.path=header.csv", "no rows"),
    "data=images data.path=pictures": ("data.path=pictures", "broken.png", "remove or replace"),
    "data=images data.path=nothing": ("data.path=nothing", "no image"),
    "data=images data.path=nowhere": ("data.path=nowhere", "no such folder"),
    "data=fashion_mnist data.root=fashion": ("data.root=fashion", "t10k-labels", "truncated"),
    "data=fashion_mnist data.root=good.npy": ("data.root=good.npy", "not a folder"),
    **{f"data=arrays data.path=nowhere.{s}": (f"nowhere.{s}", "no such file") for s in ("npy", "npz")},
    **{f"data=table data.path=nowhere.{s}": (f"nowhere.{s}", "no such file") for s in ("csv", "parquet")},
    **{f"data=arrays data.path=empty.{s}": (f"data.path=empty.{s}", "empty") for s in ("npy", "npz")},
    **{f"data=table data.path=empty.{s}": (f"data.path=empty.{s}", "empty") for s in ("csv", "parquet")},
    "data=arrays data.path=cut.npy": ("data.path=cut.npy", "truncated"),
    "data=arrays data.path=cut.npz": ("data.path=cut.npz",),
    "data=table data.path=cut.parquet": ("data.path=cut.parquet", "cannot be read"),
}

CASES = {**KEYS, **CHOICES, **TYPED, **VALUES, **PARTS, **DATA}


def one_line(code, out, err, expected):
    assert code == 2, err
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("isthmus: ")
    assert len(line) < 700
    for part in expected:
        assert part in line
    assert "Traceback" not in err


@pytest.mark.parametrize("typed", CASES)
def test_a_mistake_is_one_line_and_no_folder(typed, here, files, tmp_path):
    before = set(tmp_path.rglob("*"))
    one_line(*here("train", *typed.split(" ")), CASES[typed])
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("evaluate nothing", ("RUN=nothing", "holds nothing yet")),
        ("evaluate nowhere", ("RUN=nowhere", "no such folder")),
        ("board nowhere", ("DIR=nowhere", "no such folder")),
        ("trian latent.dim=3", ("trian", "did you mean train?")),
        ("frobnicate", ("frobnicate", "train, evaluate, resume, reproduce, show, report, board")),
    ],
)
def test_so_is_one_in_other_commands(typed, expected, here, files):
    one_line(*here(*typed.split(" ")), expected)


def test_a_gpu_that_is_not_there(here, monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    one_line(*here("train", "trainer=gpu"), ("trainer.accelerator=gpu", "trainer.accelerator=cpu"))
    assert not list(tmp_path.iterdir())


def test_a_compiled_step_promises_nothing_on_a_gpu(here, monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    typed = ("train", "trainer.deterministic=true", "trainer.compile=true")
    one_line(*here(*typed), ("trainer.compile=true", "does not promise deterministic results"))
    assert not list(tmp_path.iterdir())


def test_a_compiled_step_needs_a_compiler(here, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    typed = ("train", "trainer.accelerator=cpu", "trainer.compile=true")
    one_line(*here(*typed), ("trainer.compile=true", "install no-such-compiler"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["mlflow", "wandb"])
def test_a_logger_that_is_not_installed(package, here, monkeypatch, tmp_path):
    found = validation.find_spec
    monkeypatch.setattr(validation, "find_spec", lambda name: None if name == package else found(name))
    one_line(*here("train", f"logger={package}"), (f"logger={package}", f'pip install "isthmus[{package}]"'))
    assert not list(tmp_path.iterdir())


SRUN = {
    "NTASKS": "2",
    "PROCID": "0",
    "LOCALID": "0",
    "NODEID": "0",
    "JOB_ID": "1",
    "JOB_NAME": "train",
    "STEP_ID": "0",
}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({**SRUN, "NTASKS_PER_NODE": "2"}, ("trainer.devices=1", "2 processes", "make them agree")),
        (SRUN, ("--ntasks=2", "--ntasks-per-node")),
    ],
)
def test_processes_that_the_config_does_not_ask_for(told, expected, here, monkeypatch, tmp_path):
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    one_line(*here("train", "trainer=cpu"), expected)
    assert not list(tmp_path.iterdir())


# As a person runs them: Hydra handles errors otherwise in a process of its own.
@pytest.mark.parametrize(
    "typed", ["latent.dm=3", "latent=gausian", "latent.dim=0", "data=arrays data.path=holes.npy"]
)
def test_the_real_command_says_the_same(typed, isthmus, files, tmp_path):
    before = set(tmp_path.rglob("*"))
    ended = isthmus("train", *typed.split(" "))
    one_line(ended.returncode, ended.stdout, ended.stderr, CASES[typed])
    assert set(tmp_path.rglob("*")) == before


def test_a_folder_that_was_there_stays(here, tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "note").touch()
    assert here("train", "latent.dim=0").code == 2
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["note"]


@pytest.mark.parametrize("typed", ["train", "show x", "resume x", "board"])
def test_a_current_folder_that_is_gone(typed, here, monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    one_line(*here(*typed.split()), ("the current folder is gone",))
