"""What kind of record it is, in words, and which of mParticle's calls make such records, as far as the wire tells.

How a call becomes a record is the client's to say: its rules are not repeated here.
"""

from __future__ import annotations

from ..values import JsonObject

__all__ = ["description_of"]

_BY_CODE = {
    "ss": ("The start of a session", "none: a session began"),
    "se": ("The end of a session", "none: a session ended"),
    "set": ("A list as a custom attribute", "set_user_attribute_list"),
    "add": ("A value added to a list attribute", ""),
    "rem": ("A value removed from a list attribute", ""),
    "inc": ("An increment of a custom attribute", "increment_user_attribute"),
    "ncam": ("Objects merged into a nested custom attribute", ""),
    "lcaa": ("A place as a custom attribute", ""),
    "lcar": ("A place removed from a custom attribute", ""),
    "lr": ("The last known location", ""),
    "uae": ("An alias of the user", ""),
    "sgu": ("A subscription group joined or left", ""),
    "ie": ("A client's report of an error inside it", "none: the client reports on itself"),
}
_MESSAGE = ("Braze's analytics of a message, card, flag or banner", "none: something was shown or clicked")
_REST = ("Sent to Braze's REST API", "none: a REST request")
_SUBSCRIPTIONS = frozenset({"email_subscribe", "push_subscribe"})
_TOKENS = frozenset({"push_token", "custom_push_public_key", "custom_push_user_auth", "custom_push_vapid_public_key"})


def description_of(record: JsonObject) -> tuple[str, str]:
    """The kind in words, and the call that makes such records: empty when the wire does not tell."""
    code, name = record["code"], record["name"]
    if record["source"] == "rest":
        return _REST
    if code == "ce":
        return _custom_event(name)
    if code == "p":
        return "A purchase", "log_commerce_event"
    if code == "custom":
        return "A custom attribute", ""
    if code == "standard":
        return _standard(name)
    if record["kind"] == "message":
        return _MESSAGE
    return _BY_CODE.get(code, ("", ""))


def _custom_event(name: str) -> tuple[str, str]:
    if name.startswith("ecommerce."):
        return "A recommended eCommerce event", "log_commerce_event"
    if name.startswith("eCommerce - "):
        return "A commerce event as a custom event", "log_commerce_event"
    return "A custom event", ""


def _standard(field: str) -> tuple[str, str]:
    if field in _SUBSCRIPTIONS:
        return "A subscription state", ""
    if field in _TOKENS:
        return "A push token", "set_push_token"
    return "A standard field of the user", ""
