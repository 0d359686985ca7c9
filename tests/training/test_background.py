"""Files are written beside the training: in order, the newest of each name, and no error is lost."""

from __future__ import annotations

import queue
import threading
import time

import pytest

from isthmus.training.writers import background as background_module
from isthmus.training.writers.background import Background

LONG = 120  # seconds that nothing here takes, however busy the machine is


@pytest.fixture
def held():
    """A background whose thread waits in its first job until `go` is set."""
    go, begun = threading.Event(), threading.Event()

    def wait():
        begun.set()
        assert go.wait(LONG)

    with Background() as background:
        background.add(wait)
        assert begun.wait(LONG)
        yield background, go
        go.set()


def test_jobs_run_in_order_in_one_other_thread(held):
    background, go = held
    done = []
    for number in range(20):
        background.add(lambda number=number: done.append((number, threading.get_ident())))
    go.set()
    background.flush()
    assert [number for number, _ in done] == list(range(20))
    threads = {thread for _, thread in done}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_the_newest_of_a_name_takes_the_place_of_those_that_have_not_begun(held):
    background, go = held
    done = []
    for name, value in [
        ("last", 1),
        ("best", 2),
        ("last", 2),
        ("last", 3),
        ("best", 4),
        ("last", 4),
        ("last", 5),
    ]:
        background.replace(name, lambda name=name, value=value: done.append((name, value)))
        background.add(lambda value=value: done.append(("kept", value)))
    go.set()
    background.flush()
    assert [each for each in done if each[0] != "kept"] == [("best", 4), ("last", 5)]
    assert [value for name, value in done if name == "kept"] == [1, 2, 2, 3, 4, 4, 5]


def test_what_may_be_replaced_rests_and_what_may_not_does_not(monkeypatch):
    monkeypatch.setattr(background_module, "DEBOUNCE_SECONDS", 1e6)
    done = []
    with Background() as background:
        background.replace("last", lambda: done.append("first"))
        background.flush()
        background.replace("last", lambda: done.append("late"))
        time.sleep(0.05)
        assert done == ["first"]
        background.replace("last", lambda: done.append("newest"))
        background.flush()  # whoever waits does not wait for the rest
    assert done == ["first", "newest"]


class Clock:
    """Stands in for the module `time`: no two readings are alike, and a test says when a rest is over."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1e-6
        return self.now

    def end_rest(self, background):
        with background._changed:
            assert background._changed.wait_for(lambda: not background._running, LONG)
            self.now += 1.5 * background_module.DEBOUNCE_SECONDS
            background._changed.notify_all()


def test_newer_ones_do_not_put_off_what_waits(monkeypatch):
    """However long what comes before takes, what has rested is done next; newer ones rest again."""
    clock, done, begun, go = Clock(), queue.Queue(), threading.Semaphore(0), threading.Semaphore(0)
    monkeypatch.setattr(background_module, "time", clock)

    def slow():
        begun.release()
        assert go.acquire(timeout=LONG)
        done.put("metrics")

    def is_done(*names):
        assert [done.get(timeout=LONG) for _ in names] == list(names)

    with Background() as background:
        background.replace("first", lambda: done.put("first"))
        is_done("first")
        background.flush()
        for number in range(4):
            background.replace("metrics", slow)
            background.replace("last", lambda number=number: done.put(number))
            clock.end_rest(background)
            assert begun.acquire(timeout=LONG)
            background.replace("metrics", slow)
            background.replace("last", lambda number=number: done.put(f"newer {number}"))
            go.release()
            is_done("metrics", number)
            assert not begun.acquire(timeout=0.02)
            clock.end_rest(background)
            assert begun.acquire(timeout=LONG)
            go.release()
            is_done("metrics", f"newer {number}")
            background.flush()  # nothing is left, and the rest has begun


def test_a_job_comes_after_all_that_came_before_it(held):
    """A checkpoint that is there says that the latents of its step are."""
    background, go = held
    done = []
    for step in (1, 2, 3):
        background.add(lambda step=step: done.append(f"latents {step}"))
        background.replace("last", lambda step=step: done.append(f"last {step}"))
    go.set()
    background.flush()
    assert done == ["latents 1", "latents 2", "latents 3", "last 3"]


def test_one_job_takes_the_place_of_those_that_it_does_as_well(held):
    background, go = held
    done = []
    background.replace("best", lambda: done.append("best 1"), over=["last"])
    background.replace("last", lambda: done.append("last 2"))
    background.replace("best", lambda: done.append("best 3"), over=["last"])
    background.replace("last", lambda: done.append("last 4"))
    go.set()
    background.flush()
    assert done == ["best 3", "last 4"]


@pytest.mark.parametrize("name", [None, "last"])
def test_what_waits_has_limited_room(name, monkeypatch, held):
    background, go = held
    monkeypatch.setattr(background_module, "ROOM", 100)
    done = []

    def large():
        done.append("large")

    if name is None:
        background.add(large, size=1000)  # alone it may be larger
    else:
        background.replace(name, large, size=1000)
    timer = threading.Timer(0.2, go.set)
    timer.start()
    if name is None:
        background.add(lambda: done.append("small"), size=1)
    else:
        background.replace("best", lambda: done.append("small"), size=1)
    assert go.is_set()  # it has waited
    assert "large" in done or background._running
    background.flush()
    assert done == ["large", "small"]
    timer.join()


def test_errors_are_raised_at_the_next_call_and_end_what_was_to_come(held):
    background, go = held
    done = []

    def fails():
        raise OSError(28, "No space left on device", "last.ckpt")

    background.replace("last", fails)
    background.add(lambda: done.append("never"))
    go.set()
    with pytest.raises(OSError, match="No space") as raised:
        background.flush()
    assert raised.value.filename == "last.ckpt"
    assert not done
    background.add(lambda: done.append("after"))  # told once
    background.flush()
    assert done == ["after"]


@pytest.mark.parametrize("call", ["add", "replace"])
def test_errors_are_raised_where_training_goes_on(call):
    with Background() as background:
        background.add(lambda: 1 / 0)
        deadline = time.monotonic() + LONG
        calls = {"add": background.add, "replace": lambda job: background.replace("x", job)}
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - at some call
            while time.monotonic() < deadline:
                calls[call](lambda: None)
                time.sleep(0.001)


def test_leaving_does_what_is_left_and_ends_the_thread():
    before, done = threading.active_count(), []
    with pytest.raises(KeyError, match="of training"), Background() as background:  # noqa: PT012
        background.add(lambda: 1 / 0)  # is not told: something else went wrong first
        raise KeyError("of training")
    with Background() as background:
        background.replace("last", lambda: time.sleep(0.05))
        background.replace("other", lambda: done.append(1))
    assert done == [1]
    background.close()
    with pytest.raises(ZeroDivisionError), Background() as background:
        background.add(lambda: 1 / 0)  # at the end, when nothing else has gone wrong
    assert threading.active_count() == before
