"""A call as its author wrote it, as near as a running frame tells: its text with arguments, and its place."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import reprlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["call_text", "outermost", "place_of"]

PACKAGE = "mparticle_kit_braze."
HOSTS = ("mparticle_kit_braze.commands.", "mparticle_kit_braze.integrations.")
"""Rooms that use the client as any host does."""
MAX_TEXT = 2000
_RECEIVERS = {"MParticle": "client", "Braze": "braze", "BrazeUser": "braze.current_user", "UserHandle": "user"}


def outermost(frame: FrameType | None) -> tuple[FrameType | None, FrameType | None]:
    """The outermost frame of the package that is directly above, and the host's frame that called it."""
    inside = None
    while frame is not None and is_ours(frame.f_globals.get("__name__", "")):
        inside, frame = frame, frame.f_back
    return inside, frame


def is_ours(module: str) -> bool:
    """Whether a module is of the package, and not one that uses it."""
    return module.startswith(PACKAGE) and not module.startswith(HOSTS)


def call_text(frame: FrameType | None) -> str:
    """``client.log_event('Played Song', EventType.OTHER, {'genre': 'Jazz'})``; empty when it is no public method."""
    if frame is None or frame.f_code.co_name.startswith("_") or "self" not in frame.f_code.co_varnames[:1]:
        return ""
    receiver = type(frame.f_locals["self"]).__name__
    text = ", ".join(_arguments(frame))
    name = _RECEIVERS.get(receiver, receiver.lower())
    return f"{name}.{frame.f_code.co_name}({text})"[:MAX_TEXT]


def place_of(frame: FrameType | None) -> str:
    """``shop/app.py:42``; of what came by way of ``logging`` or an integration, where it came from."""
    while frame is not None and frame.f_globals.get("__name__", "").startswith((PACKAGE, "logging")):
        frame = frame.f_back
    if frame is None:
        return ""
    return f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{frame.f_lineno}"


def _arguments(frame: FrameType) -> Iterator[str]:
    """The arguments that were given, as far as one can tell: those with their default's value are left out."""
    code, values = frame.f_code, frame.f_locals
    function = getattr(type(values["self"]), code.co_name)
    defaults = function.__defaults__ or ()
    by_name = {
        **dict(zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)),
        **(function.__kwdefaults__ or {}),
    }
    positional = True
    for index, name in enumerate(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount], 1):
        if name in by_name and values.get(name) is by_name[name]:
            positional = False
            continue
        positional = positional and index < code.co_argcount
        yield _shown(values.get(name)) if positional else f"{name}={_shown(values.get(name))}"
    if code.co_flags & inspect.CO_VARKEYWORDS:
        rest = values[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]]
        yield from (f"{name}={_shown(value)}" for name, value in rest.items())


class _Shown(reprlib.Repr):
    """Values as written in a program, however large or broken they are."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple = 5, 30, 30, 30
        self.maxstring = self.maxother = 300

    def repr1(self, x: Any, level: int) -> str:
        """One value."""
        if isinstance(x, enum.Enum):
            return f"{type(x).__name__}.{x.name}"
        if dataclasses.is_dataclass(x) and not isinstance(x, type):
            return self._dataclass(x, level)
        return super().repr1(x, level)

    def repr_dict(self, x: Any, level: int) -> str:
        """As the base class, in the order of the dict."""
        if level <= 0:
            return "{...}"
        pairs = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in islice(x, self.maxdict)]
        return "{" + ", ".join([*pairs, *(["..."] if len(x) > self.maxdict else [])]) + "}"

    def _dataclass(self, value: Any, level: int) -> str:
        fields = [
            f"{field.name}={self.repr1(getattr(value, field.name), level - 1)}"
            for field in dataclasses.fields(value)
            if field.repr and getattr(value, field.name) not in (field.default, None, ())
        ]
        return f"{type(value).__name__}({', '.join(fields) if level > 0 else '...'})"


def _shown(value: Any) -> str:
    try:
        return _Shown().repr(value)
    except Exception:  # noqa: BLE001  # a value's own __repr__ or __eq__; the call must not fail for it
        return f"<{type(value).__name__}>"
