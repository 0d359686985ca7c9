"""The run folder: claimed once, written whole, and opened only where there is one."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isthmus.common.atomic_files import UNFINISHED, discard_empty
from isthmus.common.errors import BadInput
from isthmus.runs.errors import Stopped
from isthmus.runs.folder.run_folder import RunFolder

MANY = 20


def claim(path, barrier):
    barrier.wait()
    try:
        return RunFolder.create(path)  # which holds it
    except BadInput:
        return None


def claims(path, barrier, won):
    claimed = claim(path, barrier)
    won.put(claimed is not None)
    barrier.wait()


def test_of_threads_that_claim_a_path_one_wins(tmp_path):
    for name in range(20):
        barrier = threading.Barrier(MANY)
        with ThreadPoolExecutor(MANY) as pool:
            won = list(pool.map(lambda _, n=name, b=barrier: claim(tmp_path / "a" / str(n), b), range(MANY)))
        assert sum(each is not None for each in won) == 1


def test_of_processes_that_claim_a_path_one_wins(tmp_path):
    fork = multiprocessing.get_context("fork")
    barrier, won = fork.Barrier(MANY), fork.SimpleQueue()
    processes = [fork.Process(target=claims, args=(tmp_path / "run", barrier, won)) for _ in range(MANY)]
    for process in processes:
        process.start()
    results = [won.get() for _ in processes]
    for process in processes:
        process.join()
    assert sum(results) == 1


@pytest.mark.parametrize("name", ["note.txt", ".hidden", "checkpoints"])
def test_a_folder_that_holds_something_is_refused_and_kept(name, tmp_path):
    held = tmp_path / name
    held.mkdir() if name == "checkpoints" else held.write_text("mine")
    with pytest.raises(BadInput) as refused:
        RunFolder.create(tmp_path)
    assert refused.value.key == "hydra.run.dir"
    assert refused.value.value == tmp_path
    assert list(tmp_path.iterdir()) == [held]


def test_a_folder_that_holds_a_run_tells_how_to_go_on(tmp_path):
    RunFolder.create(tmp_path / "run").config.write_text("seed: 0\n")
    with pytest.raises(BadInput, match=r"to resume the run in it: isthmus resume .*run$"):
        RunFolder.create(tmp_path / "run")


def test_an_empty_folder_is_taken(tmp_path):
    assert RunFolder.create(tmp_path).status.is_file()


def test_json_has_null_for_what_it_has_no_number_for(tmp_path):
    path = tmp_path / "results.json"
    RunFolder.write_json(
        path, {"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": (-float("inf"), 2)}, "e": "NaN"}
    )

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content == {"a": None, "b": [None, 1.5], "c": {"d": [None, 2]}, "e": "NaN"}
    assert RunFolder.read_json(path) == content


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    RunFolder.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        RunFolder.write_json(path, {"a": object()})
    assert RunFolder.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("state", ["running", "done", "stopped"])
def test_the_status_says_what_and_where(state, tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_status(state, step=3)
    status = RunFolder.read_json(folder.status)
    assert status["status"] == state
    assert status["step"] == 3
    assert {"time", "pid", "host", "format"} <= set(status)


def test_the_first_failure_is_the_reason(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_status("running")
    for message in ("the loss is nan", "the connection was closed by the other process"):
        try:
            raise RuntimeError(message)
        except RuntimeError as error:
            folder.write_failure(error, step=2)
    status = RunFolder.read_json(folder.status)
    assert status["status"] == "failed"
    assert status["error"] == "the loss is nan"
    assert status["step"] == 2
    assert "test_folder.py" in status["traceback"]


def test_what_another_process_told_first_stays(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_status("running")
    folder.write_stop(step=7)
    folder.write_failure(RuntimeError("the connection was closed by the other process"))
    status = RunFolder.read_json(folder.status)
    assert (status["status"], status["step"]) == ("stopped", 7)


def hold_and_die(path, ready, forever):
    folder = RunFolder(path)
    with folder.held():
        folder.write_status("running")
        ready.set()
        forever.wait()


def test_a_run_whose_process_is_gone_is_killed_and_not_running(tmp_path):
    fork = multiprocessing.get_context("fork")
    folder, ready, forever = RunFolder.create(tmp_path / "run"), fork.Event(), fork.Event()
    assert folder.read_status()["status"] == "running", "its process is this one"
    with folder.held():
        pass
    process = fork.Process(target=hold_and_die, args=(folder.path, ready, forever))
    process.start()
    assert ready.wait(60)
    looking = RunFolder(folder.path)
    assert looking.read_status()["status"] == "running"
    with pytest.raises(BadInput, match=f"is being trained by process {process.pid} on"), looking.held():
        pass
    process.kill()
    process.join()
    assert looking.read_status()["status"] == "killed"
    assert RunFolder.read_json(folder.status)["status"] == "killed", "and the file says so from now on"
    with looking.held():
        pass


def test_a_run_that_ends_while_somebody_looks_is_not_killed(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path / "run")
    with folder.held():
        pass
    looking = RunFolder(folder.path)
    acquire = looking._lock.acquire

    def later(*arguments, **keywords):
        folder.write_status("done")
        return acquire(*arguments, **keywords)

    monkeypatch.setattr(looking._lock, "acquire", later)
    assert looking.read_status()["status"] == "done"
    assert RunFolder.read_json(folder.status)["status"] == "done"


@pytest.mark.parametrize(("pid", "free"), [(1, False), (2**22 + 1, True)])
def test_where_there_are_no_locks_the_process_number_does(pid, free, tmp_path, monkeypatch):
    with RunFolder.create(tmp_path / "run").held():
        pass
    folder = RunFolder(tmp_path / "run")
    folder.write_json(folder.status, {**folder.read_json(folder.status), "pid": pid})

    def acquire(*arguments, **keywords):
        raise NotImplementedError

    monkeypatch.setattr(folder._lock, "acquire", acquire)
    if free:
        with folder.held():
            pass
    else:
        with pytest.raises(BadInput, match="is being trained by process 1 on"), folder.held():
            pass


def test_a_full_disk_leaves_nothing_half_made(tmp_path, monkeypatch):
    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space") as raised:
        RunFolder.create(tmp_path / "run")
    assert raised.value.filename == str(tmp_path / "run" / "status.json")
    assert not (tmp_path / "run").exists()


def test_a_signal_while_the_first_file_is_written_leaves_nothing(tmp_path, monkeypatch):
    remove = os.unlink

    def interrupted(path, **keywords):
        if Path(path).suffix == UNFINISHED:
            monkeypatch.setattr(os, "unlink", remove)
            raise Stopped(15)
        remove(path, **keywords)

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(Stopped):
        RunFolder.create(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_killed_before_it_began_begins_again(tmp_path):
    """Without a config there is nothing to lose, unless somebody holds the folder or put something there."""
    folder = RunFolder.create(tmp_path / "run")
    folder.overrides.write_text("[]")
    (folder.path / ".config.yaml.1.2.part").touch()
    with pytest.raises(BadInput, match="is not empty"):
        RunFolder.create(folder.path)
    with folder.held():
        pass
    assert "holds nothing yet" in opened(folder.path)
    again = RunFolder.create(folder.path)
    assert {path.name for path in folder.path.iterdir()} == {"status.json", ".lock"}
    with again.held():
        (folder.path / "note").touch()
    with pytest.raises(BadInput, match="is not empty"):
        RunFolder.create(folder.path)


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def without(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", without)
    folder = RunFolder.create(tmp_path / "run")
    assert folder.read_status()["status"] == "running"
    with pytest.raises(BadInput, match="is not empty"):
        RunFolder.create(tmp_path / "run")


def test_a_process_of_that_number_that_does_not_hold_the_folder_is_another_one(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    with folder.held():
        pass
    assert RunFolder.read_json(folder.status)["pid"] == os.getpid()
    assert RunFolder(folder.path).read_status()["status"] == "killed"


@pytest.mark.parametrize("state", ["done", "failed", "stopped"])
def test_what_a_run_said_at_its_end_stays(state, tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_status(state)
    assert RunFolder(folder.path).read_status()["status"] == state


def test_a_status_of_another_machine_is_not_put_right_in_the_file(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    with folder.held():
        pass
    written = {**RunFolder.read_json(folder.status), "host": "elsewhere"}
    RunFolder.write_json(folder.status, written)
    assert folder.read_status()["status"] == "killed"
    assert RunFolder.read_json(folder.status) == written


def opened(path):
    with pytest.raises(BadInput) as refused:
        RunFolder.open(path)
    assert refused.value.key == "RUN"
    assert refused.value.value == path
    return refused.value.fix


def test_open_refuses_what_is_not_there(tmp_path):
    assert "no such folder" in opened(tmp_path / "nowhere")


def test_open_refuses_what_is_no_run(tmp_path):
    assert "holds nothing yet" in opened(tmp_path)
    (tmp_path / "note").touch()
    assert "it has no config.yaml and status.json" in opened(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert "it has no status.json" in opened(tmp_path)


def test_open_names_the_folder_of_a_file(tmp_path):
    made = RunFolder.create(tmp_path)
    made.checkpoints.mkdir()
    (made.checkpoints / "last.ckpt").touch()
    for file in (made.status, made.checkpoints / "last.ckpt"):
        assert opened(file) == f"is a file; give the run folder, {tmp_path}"


def test_open_names_a_run_that_is_inside(tmp_path):
    inner = RunFolder.create(tmp_path / "2026" / "run")
    assert f"did you mean {inner.path}?" in opened(tmp_path)


def test_open_takes_what_create_made(tmp_path):
    made = RunFolder.create(tmp_path)
    made.config.write_text("latent:\n  dim: 3\n")
    folder = RunFolder.open(tmp_path)
    assert folder.read_config().latent.dim == 3
    with pytest.raises(BadInput, match=r"has no checkpoint best\.ckpt"):
        folder.checkpoint()


def test_discarding_keeps_what_holds_something(tmp_path):
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "note").touch()
    discard_empty(inner, inner.parent, inner.parent.parent)
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "note"]
