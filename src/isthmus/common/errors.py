"""The error for invalid input, which names the key, the value and the fix; and checks that raise it."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Iterator

MOST = 10**15  # largest whole number accepted: above any useful one, and small multiples of it fit int64
LARGEST_SEED = 2**63 - 1  # that PyTorch's generators and int64 tensors accept
MOST_THREADS = 1024  # allows reproducing a run of a larger machine; many more cannot be started
LONGEST = 300  # characters of a key or a value in a message
LONGEST_FIX = 1_000  # characters of the fix, which may repeat values


class BadInput(ValueError):
    """An invalid value, reported in one line.

    Args:
        key: the config key as typed, e.g. ``"latent.dim"``. A part knows only its own parameter (``"dim"``);
            its builder adds the group with `under`. An empty key stands for the choice itself
            (``architecture=conv``).
        value: the given value.
        fix: what is wrong and what to give instead.
    """

    def __init__(self, key: str, value: object, fix: str) -> None:
        super().__init__(key, value, fix)
        self.key, self.value, self.fix = key, value, fix

    def under(self, group: str) -> BadInput:
        """The same error with `group` prepended to its key."""
        return BadInput(f"{group}.{self.key}" if self.key else group, self.value, self.fix)

    def __str__(self) -> str:
        typed = {None: "null", True: "true", False: "false"}
        value = typed[self.value] if self.value is None or isinstance(self.value, bool) else self.value
        try:
            shown = str(value)
        except ValueError:  # Python does not print integers of more than 4300 digits
            shown = "a number with thousands of digits"
        return f"{cut(str(self.key))}={cut(shown)}: {cut(self.fix, LONGEST_FIX)}"


def cut(text: str, most: int = LONGEST) -> str:
    """The first `most` characters of a text, followed by dots if it is longer."""
    return text if len(text) <= most else f"{text[:most]}..."


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """An error, its cause or the error that was being handled when it was raised, and so on; each once."""
    seen: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in seen:
        yield behind
        seen.append(behind)
        behind = behind.__cause__ or behind.__context__


class TrainingDiverged(RuntimeError):
    """The loss is not finite.

    Args:
        message: the step, and what to try.
        step: the step as a number.
    """

    def __init__(self, message: str, step: int | None = None) -> None:
        super().__init__(message)
        self.step = step


def check_int(key: str, value: object, *, least: int = 1, most: int = MOST) -> int:
    """`value` as an int from `least` to `most`; raises `BadInput` otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise BadInput(key, value, f"must be a whole number of at least {least}")
    if int(value) > most:
        raise BadInput(key, value, f"must be a whole number of at most {most}")
    return int(value)


def check_float(
    key: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a finite float within the stated bounds; raises `BadInput` otherwise."""
    bounds = [
        *([f"at least {least:g}"] if least is not None else []),
        *([f"above {above:g}"] if above is not None else []),
        *([f"at most {most:g}"] if most is not None else []),
        *([f"below {below:g}"] if below is not None else []),
    ]
    number = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer beyond the largest float
            number = float(value)
    if (
        not math.isfinite(number)
        or (least is not None and number < least)
        or (above is not None and number <= above)
        or (most is not None and number > most)
        or (below is not None and number >= below)
    ):
        raise BadInput(key, value, "must be a number " + " and ".join(bounds or ["that is finite"]))
    return number


def check_bool(key: str, value: object) -> bool:
    """Return `value`; raise `BadInput` if it is not a bool."""
    if not isinstance(value, bool):
        raise BadInput(key, value, "must be true or false")
    return value


def one_of(key: str, value: object, choices: tuple[str, ...]) -> str:
    """`value` if it is one of `choices`; raises `BadInput` otherwise."""
    if value not in choices:
        raise BadInput(key, value, f"must be one of {', '.join(choices)}")
    return str(value)
