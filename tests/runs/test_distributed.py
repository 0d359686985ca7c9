"""Two processes that train one run, however they are started: one folder, and the numbers of one process."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from isthmus.runs.evaluate import evaluate

# an odd test set, which two processes cannot share evenly, and everything that depends on who has which row
UNEVEN = (
    *("trainer=ddp_cpu", "trainer.threads=1", "trainer.max_epochs=2", "trainer.log_every_n_steps=5"),
    *("model=vae", "noise=gaussian", "architecture.normalization=batch", "architecture.hidden=[16]"),
    *("data.test_size=301", "data.eval_batch_size=64", "latent.dim=3"),
)
BARE = (
    *(f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector")),
    *("logger=csv", "trainer.threads=1"),
)
QUICK = ("trainer=ddp_cpu", "trainer.max_epochs=1", "latent.dim=2", *BARE)


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return str(opened.getsockname()[1])


def read(run, name):
    return json.loads((run / name).read_text())


def only_run(place):
    """The one folder there is, checked to be whole and written by one process."""
    (run,) = place.glob("outputs/*/*")
    assert read(run, "status.json")["status"] == "done"
    assert read(run, "results.json")["test/mse"] > 0
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "val/loss", "test/loss", "train/loss_step"):
        steps = [row["step"] for row in rows if row.get(name)]
        assert len(steps) == len(set(steps)), f"{name} is logged twice"
    writers = {path.name.split(".")[-2] for path in run.glob("events.out.tfevents.*")}
    assert len(writers) <= 1, "one process writes the events"
    return run


@pytest.mark.slow
def test_an_uneven_test_set_gives_the_numbers_of_one_process(isthmus, tmp_path):
    ended = isthmus("train", *UNEVEN)
    assert ended.returncode == 0, ended.stderr
    run = only_run(tmp_path)
    assert ended.stdout.count("epoch 1/2") == 1
    assert ended.stdout.count("run folder:") == 1
    assert not [line for line in ended.stderr.splitlines() if "collapsed" not in line]
    results, now = read(run, "results.json"), evaluate(run)
    wanted = {k: v for k, v in results.items() if k.startswith("test/") and isinstance(v, float)}
    assert {"test/loss", "test/mse", "test/kl", "test/active_units"} <= set(wanted)
    assert {name: now[name] for name in wanted} == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    with (run / "metrics.csv").open(newline="") as file:
        steps = [int(float(row["step"])) for row in csv.DictReader(file) if row["train/loss_step"]]
    assert steps == list(range(5, read(run, "status.json")["step"] + 1, 5))


@pytest.mark.slow
def test_torchrun(starting, ending, tmp_path):
    launched = ("--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}")
    typed = (*launched, "-m", "isthmus", "train", *QUICK)
    ended = ending(starting(*typed, program="torchrun", cwd=tmp_path))
    assert ended.returncode == 0, ended.stderr
    only_run(tmp_path)
    assert ended.stdout.count("run folder:") == 1


def slurm(rank, port):
    """What srun tells each of the two processes of a job."""
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "localhost",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }


@pytest.mark.slow
def test_slurm(starting, ending, tmp_path):
    port = free_port()
    processes = [starting("train", *QUICK, cwd=tmp_path, env=slurm(rank, port)) for rank in range(2)]
    first, second = (ending(process) for process in processes)
    assert first.returncode == 0, first.stderr
    assert second.returncode == 0, second.stderr
    only_run(tmp_path)
    assert "run folder:" in first.stdout
    assert second.stdout == ""


@pytest.mark.slow
def test_a_folder_that_holds_something_ends_all_processes(starting, ending, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "note").touch()
    port = free_port()
    typed = ("train", *QUICK, "hydra.run.dir=taken")
    processes = [starting(*typed, cwd=tmp_path, env=slurm(rank, port)) for rank in range(2)]
    ended = [ending(process) for process in processes]
    assert [process.returncode for process in ended] == [2, 2]
    lines = [line for process in ended for line in process.stderr.splitlines()]
    assert len([line for line in lines if line.startswith("isthmus: hydra.run.dir=")]) == 1
    assert not [line for line in lines if "Traceback" in line]
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["note"]


@pytest.mark.slow
def test_a_process_that_fails_is_one_line(isthmus, tmp_path):
    ended = isthmus("train", *QUICK, "optimizer.lr=1e30", "hydra.run.dir=run")
    assert ended.returncode == 1
    line = ended.stderr.removesuffix("\n")
    assert re.fullmatch(r"isthmus: training failed: the loss is .*; lower optimizer\.lr.*", line)
    assert "traceback" not in line
    status = read(tmp_path / "run", "status.json")
    assert status["status"] == "failed"
    assert status["error"] in line
    assert "TrainingDiverged" in status["traceback"]


@pytest.mark.parametrize(
    ("trainer", "sent", "code"),
    [
        ("cpu", signal.SIGINT, 130),
        ("cpu", signal.SIGTERM, 143),
        pytest.param("ddp_cpu", signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_stopping(trainer, sent, code, starting, ending, tmp_path):
    typed = (f"trainer={trainer}", "trainer.max_epochs=100000", "hydra.run.dir=run", *BARE)
    process = starting("train", *typed, cwd=tmp_path)
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    os.killpg(process.pid, sent)
    ended = ending(process)
    assert ended.returncode == code, ended.stderr
    told = ended.stderr.splitlines()
    assert told[-1] == "isthmus: stopped; to resume: isthmus resume run"
    assert len(told) == (2 if sent == signal.SIGINT else 1), told
    status = read(tmp_path / "run", "status.json")
    assert status["status"] == "stopped"
    assert status["epoch"] >= 1
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
def test_no_thread_of_the_launcher_talks_while_python_exits():
    """torch's would every 5 s, for as long as what a signal raised is held."""
    program = """
import os, signal, threading, time
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.rendezvous import dynamic_rendezvous
from isthmus.training.distributed import launch

def talk(handler):
    while True:
        handler()._state_holder._backend.get_state()

assert hasattr(dynamic_rendezvous.DynamicRendezvousHandler, "_keep_alive_weak")
dynamic_rendezvous.DynamicRendezvousHandler._keep_alive_weak = staticmethod(talk)
if __name__ == "__main__":
    threading.Timer(10, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        launch(time.sleep, 60, processes=1)
    except SignalException as error:
        held = error
    raise SystemExit(143)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (143, "")
