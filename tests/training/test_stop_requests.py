"""Signals are remembered, handed back, and the second Ctrl+C is the system's, or that of Python code."""

from __future__ import annotations

import os
import signal

import pytest

from isthmus.training.stop_requests import StopRequests


@pytest.fixture(autouse=True)
def _handlers():
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in kinds}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_counts(number, capfd):
    before = signal.getsignal(number)
    with StopRequests().listening() as stops:
        assert stops.signum == 0
        send(number)
        send(signal.SIGTERM)
        assert stops.signum == number
    assert signal.getsignal(number) == before
    assert ("Ctrl+C once more" in capfd.readouterr().err) == (number == signal.SIGINT)


def test_the_second_interrupt_of_a_command_is_the_systems():
    signal.signal(signal.SIGINT, lambda *_: None)  # a command has a handler of its own
    with StopRequests().listening():
        send(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL


def test_the_second_interrupt_in_python_does_not_end_the_process():
    def twice():
        with StopRequests().listening():
            send(signal.SIGINT)
            send(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_a_shell_told_to_ignore_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopRequests().listening() as stops:
        send(signal.SIGINT)
        assert stops.signum == 0


@pytest.mark.parametrize("inside", [True, False])
def test_the_announced_end_of_a_slurm_job(inside, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    if inside:
        monkeypatch.setenv("SLURM_JOB_ID", "1")
    with StopRequests().listening() as stops:
        send(signal.SIGUSR1)
        assert stops.signum == (signal.SIGUSR1 if inside else 0)
