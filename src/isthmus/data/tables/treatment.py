"""How the columns of a table become features: the keys of a config, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from isthmus.common.errors import one_of
from isthmus.data.tables.fitting import Settings
from isthmus.data.tables.kinds import Rules

UNSEEN = ("zero", "refuse")


class Treatment(NamedTuple):
    """See `table.Table` for the keys.

    Attributes:
        rules: which columns may be features.
        settings: how they become features.
        unseen: what to do about text that was not in training.
    """

    rules: Rules
    settings: Settings
    unseen: str

    @classmethod
    def of(
        cls,
        *,
        missing: str,
        categorical: str,
        scaling: str,
        max_categories: int = 50,
        unseen: str = "zero",
        dates: str = "drop",
        date_format: str | None = None,
        clip: float | None = None,
        chosen: bool,
        prune: bool,
    ) -> Treatment:
        """Check the keys of a config; for `chosen` and `prune` see `Rules`. Raises `BadInput`."""
        rules = Rules.of(
            categorical=categorical,
            most_categories=max_categories,
            dates=dates,
            date_format=date_format,
            chosen=chosen,
            prune=prune,
        )
        settings = Settings.of(missing=missing, scaling=scaling, clip=clip)
        return cls(rules, settings, one_of("unseen", unseen, UNSEEN))

    @classmethod
    def of_run(cls, keys: Mapping[str, Any]) -> Treatment:
        """How new rows are treated, by the keys of the data of a run, whatever their source."""
        own = {"missing", "unseen", "date_format", "scaling"} & set(keys)
        usual = {"missing": "refuse", "categorical": "onehot", "scaling": "standardize"}
        return cls.of(**{**usual, **{key: keys[key] for key in own}}, chosen=True, prune=False)


def for_new_rows(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the data of a run, for new rows.

    Where training refused missing cells, a new row that has one is no reason to refuse all others: it is
    left without a result, as where training dropped such rows.
    """
    return {**keys, "missing": "drop"} if leaves_out(keys) else dict(keys)


def leaves_out(keys: Mapping[str, Any]) -> bool:
    """Whether a model does not know what to do with a missing cell, by the keys of its data."""
    return keys.get("missing", "refuse") in ("refuse", "drop")
