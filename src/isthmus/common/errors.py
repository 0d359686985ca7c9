"""The one error for what a person can mend: a key, its value, and what to do instead."""

from __future__ import annotations

import contextlib
import math
import numbers

MOST = (
    10**15
)  # of a whole number: far above what can be counted here, and no product of two small ones overflows
LARGEST_SEED = 2**63 - 1  # that a generator of PyTorch's and a tensor of int64 take
LONGEST = 300  # characters of a key or a value that are shown
LONGEST_FIX = 1_000  # characters of what is wrong, where values may be repeated


class BadInput(ValueError):
    """A value that cannot work, said in one line.

    Args:
        key: the config key as people type it, e.g. ``"latent.dim"``. A part knows only its own
            parameter (``"dim"``); whoever builds the part adds the group with `under`. An empty key
            stands for the choice itself (``architecture=conv``).
        value: what was given.
        fix: what is wrong and what to give instead.
    """

    def __init__(self, key: str, value: object, fix: str) -> None:
        super().__init__(key, value, fix)
        self.key, self.value, self.fix = key, value, fix

    def under(self, group: str) -> BadInput:
        """The same error with `group` put before its key."""
        return BadInput(f"{group}.{self.key}" if self.key else group, self.value, self.fix)

    def __str__(self) -> str:
        typed = {None: "null", True: "true", False: "false"}
        value = typed[self.value] if self.value is None or isinstance(self.value, bool) else self.value
        try:
            shown = str(value)
        except ValueError:  # Python prints no whole number of more than 4300 digits
            shown = "a number of thousands of digits"
        return f"{cut(str(self.key))}={cut(shown)}: {cut(self.fix, LONGEST_FIX)}"


def cut(text: str, most: int = LONGEST) -> str:
    """At most `most` characters of a text, and dots where there were more."""
    return text if len(text) <= most else f"{text[:most]}..."


class TrainingDiverged(RuntimeError):
    """The loss is no longer a finite number.

    Args:
        message: says at which step, and what to try.
        step: the same, as a number.
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
        with contextlib.suppress(OverflowError):  # a whole number beyond the largest float
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


def one_of(key: str, value: object, choices: tuple[str, ...]) -> str:
    """`value` if it is one of `choices`; raises `BadInput` otherwise."""
    if value not in choices:
        raise BadInput(key, value, f"must be one of {', '.join(choices)}")
    return str(value)
