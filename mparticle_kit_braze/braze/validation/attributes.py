"""Custom attributes: keys, scalars, lists, objects, increments, locations, as the Web SDK takes them."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from ..encoding import (
    MAX_OBJECT_BYTES,
    Amiss,
    compact,
    has_forbidden_character,
    long_date,
    plain,
    plain_scalar,
    quote,
    short_date,
    size,
)
from ..refusal import Refused
from .values import label, number_in, whole_number

__all__ = ["CustomValue", "attribute_key", "custom_value", "increment_amount", "list_member", "location", "position"]


class CustomValue(NamedTuple):
    """A checked value of a custom attribute.

    Attributes:
        text: Its compact JSON.
        event: The event that carries it (``set`` for a list of texts, ``ncam`` for a merge), or ``None`` when
            it goes into the attribute object.
    """

    text: str
    event: str | None = None


def attribute_key(key: Any) -> str:
    """Text without control characters and double quotes; it may be empty."""
    return label(key, "attribute key", may_be_empty=True)


def custom_value(value: Any, amiss: Amiss, *, merge: bool) -> CustomValue:
    """Check and encode a value: ``None``, text, number, boolean, date, list of texts or of objects, object.

    Args:
        value: The value.
        amiss: Told what, for each number inside an object that became null.
        merge: For an object: merge it into the stored one instead of replacing it. Of no effect otherwise.

    Raises:
        Refused: Braze's SDKs would refuse it; so are NaN and infinities, which as null would remove the attribute.
    """
    if type(value) is str:
        return CustomValue(_text(value))
    try:
        return _encoded(plain_scalar(value), amiss, merge)
    except Refused:
        raise
    except RecursionError:
        raise Refused("an attribute value nested too deeply") from None
    except Exception as error:  # the caller's own classes run here
        raise Refused(f"an attribute value that could not be read ({type(error).__name__})") from error


def _encoded(value: Any, amiss: Amiss, merge: bool) -> CustomValue:
    if isinstance(value, dict):
        return CustomValue(_structure(value, amiss), "ncam" if merge else None)
    if isinstance(value, list):
        return _list(value, amiss)
    if isinstance(value, str):
        return CustomValue(_text(value))
    if isinstance(value, date):
        return CustomValue(quote(short_date(value)))
    return CustomValue(compact(value))


def _text(value: str) -> str:
    if has_forbidden_character(value):
        raise Refused("attribute text must not contain control characters or double quotes")
    return quote(value)


def _list(value: list[Any], amiss: Amiss) -> CustomValue:
    members = [plain_scalar(member) for member in value]
    if all(isinstance(member, str) for member in members):
        return CustomValue(f"[{','.join(map(_text, members))}]", "set")
    if all(isinstance(member, dict) for member in members):
        return CustomValue(_structure(members, amiss))
    raise Refused("a list must hold either texts only or objects only")


def _structure(value: Any, amiss: Amiss) -> str:
    text = compact(plain(value, amiss, date_text=long_date, check_keys=True))
    if size(text) > MAX_OBJECT_BYTES:
        raise Refused(f"an object of more than {MAX_OBJECT_BYTES} bytes")
    return text


def list_member(value: Any) -> str:
    """A text to add to or remove from a list attribute, without control characters and double quotes."""
    return label(value, "list member", may_be_empty=True)


def increment_amount(value: Any) -> int:
    """A whole number or its text; ``None`` is 1."""
    if value is None:
        return 1
    if isinstance(value, bool):
        raise Refused("increment must be a whole number, not bool")
    return whole_number(value, "increment")


def location(latitude: Any, longitude: Any) -> tuple[int | float, int | float] | None:
    """Checked coordinates in degrees; ``None`` when both are ``None`` (removal)."""
    if latitude is None and longitude is None:
        return None
    return number_in(latitude, "latitude", -90, 90), number_in(longitude, "longitude", -180, 180)


def position(
    latitude: Any, longitude: Any, accuracy: Any, altitude: Any, altitude_accuracy: Any
) -> dict[str, int | float]:
    """The data of a last known location; accuracies in metres from 0 up, what is ``None`` is left out."""
    data = {
        "latitude": number_in(latitude, "latitude", -90, 90),
        "longitude": number_in(longitude, "longitude", -180, 180),
    }
    if altitude is not None:
        data["altitude"] = number_in(altitude, "altitude")
    if accuracy is not None:
        data["ll_accuracy"] = number_in(accuracy, "accuracy", 0)
    if altitude_accuracy is not None:
        data["alt_accuracy"] = number_in(altitude_accuracy, "altitude accuracy", 0)
    return data
