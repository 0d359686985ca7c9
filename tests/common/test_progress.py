"""What is said of long work: on stderr, as a line or as a bar."""

from __future__ import annotations

import io
import sys

import pytest

from isthmus.common import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("long", [True, False])
def test_without_a_terminal_there_is_a_line_before_long_work(
    long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    items = progress.track(iter("abc"), "Reading letters", of=3, long=long)
    assert list(items) == ["a", "b", "c"]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Reading letters ...\n" if long else "")


def test_on_a_terminal_there_is_a_bar_which_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "DELAY", 0.0)
    seen = []
    for number, item in enumerate(progress.track(iter("abc"), "Reading letters", of=3)):
        seen.append(item)
        assert "Reading letters:" in terminal.getvalue()
        if not number:
            assert "0/3" in terminal.getvalue()
    assert seen == ["a", "b", "c"]
    assert not terminal.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip(), "the bar is wiped"
