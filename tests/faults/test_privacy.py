"""What must not be found in logs and files."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from mparticle_kit_braze import CommerceEvent, MParticle, Product, ProductAction
from mparticle_kit_braze.errors import MParticleError
from mparticle_kit_braze.sandbox import Reply, Sandbox

from .support import KEY, Problems, log

Make = Callable[..., MParticle]

SECRETS = {
    "key": KEY,
    "signature": "planted-signature",
    "customer": "planted-customer",
    "email": "planted@example.com",
    "attribute": "planted-attribute-value",
    "property": "planted-property-value",
    "product": "planted-product",
    "token": "planted-push-token",
    "number": "+49 30 1234567",
}


def use_and_fail(client: MParticle, sandbox: Sandbox) -> None:
    """Everything personal through every call, with every kind of trouble on the way."""
    braze = client.kit("Braze")
    client.identify(customer_id=SECRETS["customer"], email=SECRETS["email"])
    braze.set_sdk_authentication_signature(SECRETS["signature"])
    client.set_user_attribute("$Mobile", SECRETS["number"])
    client.set_user_attribute("secret", SECRETS["attribute"])
    client.set_user_attribute("refused", {"nested": SECRETS["attribute"]})
    client.set_user_attribute("$Gender", SECRETS["attribute"])
    client.set_push_token(SECRETS["token"])
    client.log_event("Event", attributes={"secret": SECRETS["property"], "bad": {"nested": SECRETS["property"]}})
    client.log_event("Event", attributes={"bad": [SECRETS["property"]]})
    client.log_commerce_event(
        CommerceEvent(
            product_action=ProductAction.PURCHASE,
            products=[Product(SECRETS["product"], SECRETS["product"], 4.5)],
            currency="planted-attribute-value"[:3],
        )
    )
    braze.current_user.set_email("planted@example.com and more")
    braze.current_user.set_phone_number(SECRETS["attribute"])
    braze.current_user.set_date_of_birth(1990, 13, 1)
    braze.change_user("planted-customer" * 100)
    for reply in (
        Reply(status=500, body=json.dumps({"message": "broken"})),
        Reply(status=400),
        Reply(body="<html>"),
        Reply(body={"auth_error": {"error_code": 22, "reason": "EXPIRED"}}),
    ):
        sandbox.respond_next(reply)
        log(client, [1])
        client.flush(timeout=0.5)
        braze.set_sdk_authentication_signature(SECRETS["signature"])
    sandbox.fault = lambda request: Reply(status=400) if SECRETS["property"].encode() in request.raw else None
    client.flush(timeout=5)
    for wrong in ("", 7, None):
        with contextlib.suppress(MParticleError):
            client.log_event(wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_logs_tell_no_secrets(
    make: Make, sandbox: Sandbox, problems: Problems, caplog: pytest.LogCaptureFixture
) -> None:
    """From INFO up neither a key nor a signature, an identity, an attribute or a property is logged or reported."""
    with caplog.at_level(logging.INFO):
        client = make(kit={"sdk_authentication": True})
        use_and_fail(client, sandbox)
        client.close(timeout=5)
    assert len(caplog.records) >= 5
    told = [
        caplog.text,
        *(f"{problem.message} {problem.exception!r}" for problem in problems.all),
        repr(client.stats()),
    ]
    for text in told:
        for name, secret in SECRETS.items():
            assert secret not in text, (name, text)


def test_keys_are_not_stored(make: Make, sandbox: Sandbox, state: Path) -> None:
    """The app key is on no disk; of signatures only those needed to send what is queued are."""
    client = make()
    client.identify(customer_id=SECRETS["customer"])
    log(client, range(10))
    sandbox.fault = lambda _request: Reply(status=500)
    client.flush(timeout=2)
    log(client, range(10))
    for path in state.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
