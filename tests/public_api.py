"""The public names of the package with their signatures, as text: ``python -m tests.public_api`` writes ``api.txt``.

A test compares that file with the code, so that a change of what users see shows in the diff of a change.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SNAPSHOT = Path(__file__).with_name("api.txt")

MODULES = (
    "mparticle_kit_braze",
    "mparticle_kit_braze.braze",
    "mparticle_kit_braze.braze.messaging",
    "mparticle_kit_braze.integrations",
    "mparticle_kit_braze.kits.user_handle",
    "mparticle_kit_braze.sandbox",
    "mparticle_kit_braze.server",
)


def describe_all() -> str:
    """The whole text."""
    return "\n\n".join("\n".join([name, *describe_module(name)]) for name in MODULES) + "\n"


def describe_module(name: str) -> Iterator[str]:
    """A module's public names; one that another module above has too is only named."""
    module = importlib.import_module(name)
    for public in sorted(module.__all__):
        value = getattr(module, public)
        if name != MODULES[0] and getattr(importlib.import_module(MODULES[0]), public, None) is value:
            yield f"  {public}: see {MODULES[0]}"
        elif isinstance(value, type):
            yield from describe_class(public, value)
        elif isinstance(value, types.FunctionType):
            yield f"  def {public}{signature(value)}"
        else:
            yield f"  {public}"


def describe_class(name: str, cls: type) -> Iterator[str]:
    """A class with its constructor and its members, those of base classes of the package included."""
    family = [base for base in cls.__mro__ if base.__module__.startswith("mparticle_kit_braze")]
    foreign = next((base.__name__ for base in cls.__mro__ if base not in family and base is not object), "")
    yield f"  class {name}{constructor(cls, family)}" + (f" [{foreign}]" if foreign else "")
    members: dict[str, str] = {}
    for base in reversed(family):
        annotations = inspect.get_annotations(base)
        for member, annotation in annotations.items():
            members[member] = f"{member}: {annotation}"
        for member, value in vars(base).items():
            described = describe_member(member, value, base)
            if described is not None and not (member in annotations and described == member):
                members[member] = described
    yield from (f"    {members[member]}" for member in sorted(members) if not member.startswith("_"))


def describe_member(name: str, value: Any, owner: type) -> str | None:
    """A method, property or constant; ``None`` for what is no part of what users see."""
    if isinstance(value, classmethod | staticmethod):
        return f"{type(value).__name__} {name}{signature(value.__func__)}"
    if isinstance(value, property):
        return f"property {name} -> {returned(value.fget)}"
    if isinstance(value, types.FunctionType):
        original = str(value.__name__)
        if original != name and vars(owner).get(original) is value:
            return f"{name} = {original}"
        prefix = "async " if inspect.iscoroutinefunction(value) else ""
        return f"{prefix}def {name}{signature(value)}"
    if isinstance(value, types.MemberDescriptorType):  # a slot; fields are told by their annotations
        return None
    if isinstance(value, enum.Enum) and type(value) is owner:
        return f"{name} = {plain(value.value)}"
    return name


def constructor(cls: type, family: list[type]) -> str:
    """What the class is made with."""
    if issubclass(cls, enum.Enum) or getattr(cls, "_is_protocol", False):
        return ""
    for base in family:
        if isinstance(made := vars(base).get("__init__"), types.FunctionType):
            return signature(made, returns=False)
    return ""


def signature(function: Callable[..., Any], *, returns: bool = True) -> str:
    """Parameters with annotations and defaults as in the source, without ``self``."""
    found = inspect.signature(function)
    parameters = [parameter for parameter in found.parameters.values() if parameter.name not in ("self", "cls")]
    shown: list[str] = []
    kinds = [parameter.kind for parameter in parameters]
    for index, parameter in enumerate(parameters):
        kind = parameter.kind
        if kind is parameter.KEYWORD_ONLY and not {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL} & {*kinds[:index]}:
            shown.append("*")
        star = "*" if kind is parameter.VAR_POSITIONAL else "**" if kind is parameter.VAR_KEYWORD else ""
        annotation = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        default = "" if parameter.default is parameter.empty else f" = {plain(parameter.default)}"
        shown.append(f"{star}{parameter.name}{annotation}{default}")
        if kind is parameter.POSITIONAL_ONLY and kinds[index + 1 : index + 2] != [kind]:
            shown.append("/")
    return f"({', '.join(shown)})" + (f" -> {returned(function)}" if returns else "")


def returned(function: Callable[..., Any] | None) -> str:
    """A function's return annotation."""
    return str(getattr(function, "__annotations__", {}).get("return", "?"))


def plain(value: object) -> str:
    """A default or enum value, alike on every version of Python."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if value is ...:
        return "..."
    if value is None or isinstance(value, bool | int | float | str | bytes | tuple | frozenset):
        return repr(value)
    return "<factory>" if "FACTORY" in type(value).__name__ else f"<{type(value).__name__}>"


if __name__ == "__main__":
    SNAPSHOT.write_text(describe_all(), encoding="utf-8")
