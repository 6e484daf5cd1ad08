"""Which of mParticle's calls a record comes from and by which rule, as far as the wire tells."""

from __future__ import annotations

from ..values import JsonObject

__all__ = ["rule_of"]

_BY_CODE = {
    "ss": ("Braze's own session: begun by the first call, after a pause or for another user", "none: a session began"),
    "se": ("Braze's own session: ended by a pause or for another user", "none: a session ended"),
    "set": ("A list sets a custom attribute as a whole", "set_user_attribute_list"),
    "add": ("A rule of the configuration adds the value to a list attribute", ""),
    "rem": ("A rule of the configuration removes the value from a list attribute", ""),
    "inc": ("An increment is sent as an increment", "increment_user_attribute"),
    "ncam": ("Objects are merged into a nested custom attribute", ""),
    "lcaa": ("A place as a custom attribute", ""),
    "lcar": ("A place taken off a custom attribute", ""),
    "lr": ("The last known location", ""),
    "uae": ("An alias for the user", ""),
    "sgu": ("A user attribute, or consent, that the configuration maps to a subscription group", ""),
    "ie": ("A client's report of an error inside it", "none: the client reports on itself"),
}
_MESSAGE = ("Braze's analytics of a message, card, flag or banner", "none: something was shown or clicked")
_SUBSCRIPTIONS = frozenset({"email_subscribe", "push_subscribe"})
_TOKENS = frozenset({"push_token", "custom_push_public_key", "custom_push_user_auth", "custom_push_vapid_public_key"})
_REST = ("Braze's REST API: sent as given, no kit was involved", "none: a REST request")


def rule_of(record: JsonObject) -> tuple[str, str]:
    """The rule in a sentence, and the call that makes such records: empty when the wire does not tell."""
    code, name = record["code"], record["name"]
    if record["source"] == "rest":
        return _REST
    if code == "ce":
        return _custom_event(name)
    if code == "p":
        return _purchase(name)
    if code == "custom":
        return "A user attribute becomes the custom attribute of the same name, dollar signs taken off", ""
    if code == "standard":
        return _standard(name)
    if record["kind"] == "message":
        return _MESSAGE
    return _BY_CODE.get(code, ("", ""))


def _custom_event(name: str) -> tuple[str, str]:
    if name.startswith("ecommerce."):
        return "A commerce event in Braze's recommended form", "log_commerce_event"
    if not name.startswith("eCommerce - "):
        return "A custom event keeps its name and properties", ""
    if name.endswith((" - Item", " - Total")):
        return "A commerce event is expanded: one event for each item, and a total where the action has one", (
            "log_commerce_event"
        )
    return "A commerce event is sent as one event, its products bundled or absent", "log_commerce_event"


def _purchase(product: str) -> tuple[str, str]:
    if product.startswith("eCommerce - "):
        return "A purchase is sent as one, its products bundled", "log_commerce_event"
    return "A purchase is expanded: one for each product", "log_commerce_event"


def _standard(field: str) -> tuple[str, str]:
    if field in _SUBSCRIPTIONS:
        return "A user attribute named like a subscription state sets it", ""
    if field in _TOKENS:
        return "A push token", "set_push_token"
    if field == "email":
        return "An e-mail identity, or the reserved user attribute, becomes the standard field", ""
    return "A reserved user attribute becomes Braze's standard field", ""
