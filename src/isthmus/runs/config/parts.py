"""Instantiates a part from its config. Imports neither Hydra nor OmegaConf, unless the config needs them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from isthmus.common.dotted_keys import walk
from isthmus.common.errors import LONGEST_FIX, BadInput
from isthmus.common.messages import first_line, unknown_key
from isthmus.runs.config.allowlist import DIRECTIVES, TARGET, check_nested, check_targets, resolve


def part(group: str, keys: Mapping[str, Any], kind: type, **further: Any) -> Any:
    """Instantiate one part.

    Args:
        group: dotted key of the part, for messages.
        keys: its config, with ``_target_``, in plain types.
        kind: the class that the part must be an instance of.
        further: arguments that are not from the config.

    Raises:
        BadInput: for a target that is missing or not allowed (see `allowlist`), a key that the part does not
            have (with the nearest match), and values that its constructor refuses.
    """
    content = dict(keys)
    target = content.get(TARGET)
    if not target:
        raise BadInput(group, content, "has no _target_; choose one of the shipped choices, or name a class")
    check_targets(content, group)
    found = resolve(group, target, kind)
    _check_keys(group, target, found, content, further)
    check_nested(content, group)
    try:
        made = _maker(found, content, further)()
    except BadInput as error:
        raise error.under(group) from error
    except Exception as error:
        if not isinstance(error, _refusals()):
            raise
        raise BadInput(f"{group}._target_", target, first_line(error, LONGEST_FIX)) from error
    if not further.get("_partial_") and not isinstance(made, kind):
        raise BadInput(f"{group}._target_", target, f"is not a {kind.__name__}")
    return made


def under(group: str, call: Callable[[], Any]) -> Any:
    """The result of `call`; its `BadInput` names keys of `group`."""
    try:
        return call()
    except BadInput as error:
        raise error.under(group) from error


def _maker(found: Any, content: Mapping[str, Any], further: Mapping[str, Any]) -> Callable[[], Any]:
    """Calls the class directly where Hydra would do the same, and through Hydra for everything else."""
    keys = {key: value for key, value in content.items() if key != TARGET}
    special = any(isinstance(node, dict) and {TARGET, *DIRECTIVES} & set(node) for _, node in walk(keys, ""))
    if inspect.isclass(found) and not special and not set(DIRECTIVES) & set(further):
        return lambda: found(**keys, **further)

    def instantiated() -> Any:
        from hydra.errors import HydraException
        from hydra.utils import instantiate

        try:
            return instantiate(dict(content), _convert_="all", **further)
        except HydraException as error:
            if error.__cause__ is None:
                raise
            raise error.__cause__ from error

    return instantiated


def _refusals() -> tuple[type[Exception], ...]:
    """Errors with which classes refuse their arguments."""
    lightning = sys.modules.get("pytorch_lightning.utilities.exceptions")
    own = (lightning.MisconfigurationException,) if lightning else ()
    return (ValueError, TypeError, ModuleNotFoundError, *own)


def _check_keys(
    group: str, target: str, made_by: Any, keys: Mapping[str, Any], further: Mapping[str, Any]
) -> None:
    known = {
        name: parameter
        for name, parameter in inspect.signature(made_by).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    for key in map(str, keys):
        if key in (TARGET, *DIRECTIVES) or key in known:
            continue
        hint = f"; if an experiment or preset set it for another choice, add ~{group}.{key}"
        raise BadInput(f"{group}.{key}", keys[key], unknown_key(key, list(known), f"{group}.") + hint)
    absent = [
        name
        for name, parameter in known.items()
        if parameter.default is parameter.empty and name not in keys and name not in further
    ]
    if absent and not further.get("_partial_"):
        raise BadInput(f"{group}.{absent[0]}", "", f"is missing; {target} needs it")
