"""What a user says about a CSV file, and the words for it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.common.errors import BadInput, check_bool, check_int, one_of
from isthmus.common.messages import did_you_mean

WORDS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "pipe": "|",
    "space": " ",
    "point": ".",
    "apostrophe": "'",
    "none": "",
}
# missing anywhere, as in pandas
NA_VALUES = (
    *("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "<NA>", "#N/A", "#NA", "NaT"),
    *("#VALUE!", "#DIV/0!"),
)
CHARACTERS = ("separator", "decimal", "thousands")  # keys of one character or its word
SEPARATOR = re.compile(r"[\t !#$%&'()*,/:;<=>?@\[\]^_`{|}~]")
NUMBER_NA = ("?", "-", "--", ".", "na", "None", "none", "nil", "missing")  # missing in a column of numbers


class CSVOptions(NamedTuple):
    """What the user says about a CSV file; None or "auto" for what is to be detected.

    Attributes:
        separator: comma, semicolon, tab, pipe, space, or the character itself.
        decimal: point or comma.
        thousands: comma, point, space, apostrophe or none.
        encoding: utf-8, latin-1, utf-16 or another codec of Python.
        header: whether the first row has the names of the columns.
        na_values: further texts of missing cells.
        keep_default_na: whether `NA_VALUES`, and in a column of numbers `NUMBER_NA`, are missing cells too.
        skip_rows: lines at the beginning of the file to ignore.
        bad_rows: refuse or skip rows with another number of cells.
    """

    separator: str = "auto"
    decimal: str = "auto"
    thousands: str = "auto"
    encoding: str = "auto"
    header: bool | str = "auto"
    na_values: Sequence[str] = ()
    keep_default_na: bool = True
    skip_rows: int | None = None
    bad_rows: str = "refuse"

    @classmethod
    def of(cls, keys: Mapping[str, Any] | None) -> CSVOptions:
        """Check the keys of the config `data.csv`. Raises `BadInput`."""
        given = dict(keys or {})
        for key in given:
            if key not in cls._fields:
                hint = (
                    did_you_mean(str(key), cls._fields, prefix="csv.") or f"known: {', '.join(cls._fields)}"
                )
                raise BadInput(f"csv.{key}", given[key], f"there is no such key; {hint}")
        options = cls(**given)
        separator, decimal = character("separator", options.separator), character("decimal", options.decimal)
        if separator != "auto" and not SEPARATOR.fullmatch(separator):
            fix = "must be one character that is in no number, such as comma, semicolon or tab"
            raise BadInput("csv.separator", options.separator, fix)
        if decimal not in ("auto", ".", ","):
            raise BadInput("csv.decimal", options.decimal, "must be one of auto, point, comma")
        thousands = character("thousands", options.thousands)
        if thousands not in ("auto", "", ",", ".", " ", "'"):
            fix = "must be one of auto, none, comma, point, space, apostrophe"
            raise BadInput("csv.thousands", options.thousands, fix)
        if thousands == decimal != "auto":
            raise BadInput(
                "csv.thousands", options.thousands, "is the decimal mark as well; give another one"
            )
        if not isinstance(options.header, bool) and options.header != "auto":
            raise BadInput("csv.header", options.header, "must be one of auto, true, false")
        if options.skip_rows is not None:
            check_int("csv.skip_rows", options.skip_rows, least=0)
        one_of("csv.bad_rows", options.bad_rows, ("refuse", "skip"))
        try:
            codecs.getincrementaldecoder(
                "utf-8" if options.encoding == "auto" else options.encoding
            )().decode(b"a")
            "a".encode("utf-8" if options.encoding == "auto" else options.encoding)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            fix = "is no text encoding that Python knows; utf-8, latin-1 and utf-16 are"
            raise BadInput("csv.encoding", options.encoding, fix) from error
        check_bool("csv.keep_default_na", options.keep_default_na)
        na_values = options.na_values or ()
        if isinstance(na_values, str) or not isinstance(na_values, Sequence):
            raise BadInput(
                "csv.na_values", na_values, f"must be a list, as in data.csv.na_values=[{na_values}]"
            )
        return options._replace(
            separator=separator,
            decimal=decimal,
            thousands=thousands,
            na_values=tuple(map(str, na_values)),
        )

    def given(self) -> dict[str, Any]:
        """What is not to be detected, and not as usual; characters as words."""
        changed = {key: value for key, value in self._asdict().items() if value != self._field_defaults[key]}
        return {key: word(value) if key in CHARACTERS else value for key, value in changed.items()}

    @property
    def missing(self) -> Sequence[str]:
        """The texts of missing cells."""
        return ("", *self.na_values, *(NA_VALUES if self.keep_default_na else ()))

    @property
    def missing_numbers(self) -> Sequence[str]:
        """The texts of missing cells in a column whose other cells are numbers."""
        return (*self.missing, *(NUMBER_NA if self.keep_default_na else ()))


def character(key: str, value: object) -> str:
    """The character that a word stands for."""
    if not isinstance(value, str):
        raise BadInput(f"csv.{key}", value, f"must be a word, such as data.csv.{key}=comma")
    return WORDS.get(value, value)


def word(character: str) -> str:
    """The word for a character."""
    return next((word for word, meant in WORDS.items() if meant == character), repr(character))
