"""What the app says about the current user: attributes, consent, the opt-out, the push token."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, overload

from ..consent import ConsentState, answer_change, removal_change
from ..errors import InvalidArgumentError
from ..values import check_name, check_number, copy_attributes, copy_value, describe
from .core import ClientCore

__all__ = ["UserCalls"]


class UserCalls(ClientCore):
    """About the current user."""

    # -- user attributes ----------------------------------------------------------------------------------------
    def set_user_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of the current user.

        Args:
            key: Its name, not empty; ``$FirstName`` and the like are mParticle's reserved ones.
            value: A scalar; a list or tuple sets a list; ``None`` clears.

        Raises:
            InvalidArgumentError: The key is no text or empty.
            ClosedError: The client is closed.
        """
        key = check_name(key, "user attribute key")
        if isinstance(value, list | tuple):
            self.set_user_attribute_list(key, value)
            return
        copied = copy_value(value)
        if self._scoped("set_user_attribute", key, copied):
            return
        if not (self._refusing and self._refuses("user attribute")):
            self._touch()
            self._state.set_attribute(key, copied)

    def set_user_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes, each as :meth:`set_user_attribute`; nothing is set if one key is wrong."""
        copied = copy_attributes(attributes, "user attributes")
        for key in copied:
            check_name(key, "user attribute key")
        self._refuses_when_closed()
        for key, value in copied.items():
            self.set_user_attribute(key, value)

    def set_user_attribute_list(self, key: str, values: Sequence[Any]) -> None:
        """Set a list attribute.

        Raises:
            InvalidArgumentError: The key is no text or empty, or ``values`` neither a list nor a tuple.
            ClosedError: The client is closed.
        """
        key = check_name(key, "user attribute key")
        if not isinstance(values, list | tuple):
            raise InvalidArgumentError(f"a list attribute must be a list or tuple, not {describe(values)}")
        copied = tuple(copy_value(list(values)))
        if self._scoped("set_user_attribute_list", key, copied):
            return
        if not (self._refusing and self._refuses("user attribute")):
            self._touch()
            self._state.set_attribute_list(key, copied)

    def set_user_tag(self, tag: str) -> None:
        """Set a tag, an attribute without a value; errors as :meth:`set_user_attribute`."""
        tag = check_name(tag, "user tag")
        if self._scoped("set_user_tag", tag):
            return
        if not (self._refusing and self._refuses("user tag")):
            self._touch()
            self._state.set_tag(tag)

    def remove_user_attribute(self, key: str) -> None:
        """Remove an attribute, list or tag; errors as :meth:`set_user_attribute`. Works for opted-out users too."""
        key = check_name(key, "user attribute key")
        self._refuses_when_closed()
        if not self._scoped("remove_user_attribute", key):
            self._state.remove_attribute(key)

    def increment_user_attribute(self, key: str, by: int | float = 1) -> None:
        """Add to an attribute; one that is not there counts as 0. Not refused for opted-out users (as Android).

        Args:
            key: Its name, not empty.
            by: A finite number, negative to subtract.

        Raises:
            InvalidArgumentError: The key is no text or empty, or ``by`` no finite number.
            ClosedError: The client is closed.
        """
        key = check_name(key, "user attribute key")
        by = check_number(by, "increment")
        self._refuses_when_closed()
        if not self._scoped("increment_user_attribute", key, by):
            self._state.increment_attribute(key, by)

    # -- consent, opt-out, push ---------------------------------------------------------------------------------
    @overload
    def set_consent(self, regulation: ConsentState) -> None: ...

    @overload
    def set_consent(
        self,
        regulation: str,
        purpose: str | None = None,
        consented: bool | None = None,
        *,
        timestamp: float | dt.datetime | None = None,
        document: str | None = None,
        location: str | None = None,
        hardware_id: str | None = None,
    ) -> None: ...

    def set_consent(
        self,
        regulation: ConsentState | str,
        purpose: str | None = None,
        consented: bool | None = None,
        **details: Any,
    ) -> None:
        """Set the current user's answer for one purpose, or the whole consent state.

        Args:
            regulation: ``"gdpr"`` or ``"ccpa"``, or a whole :class:`ConsentState` to replace everything.
            purpose: The GDPR purpose, such as ``"marketing"``; case and outer spaces do not count. CCPA has only
                ``"data_sale_opt_out"``, which may be left out.
            consented: The answer; for CCPA true means opted *out* of the sale of data.
            **details: ``timestamp``, ``document``, ``location``, ``hardware_id`` of the answer.

        Raises:
            InvalidArgumentError: The regulation or purpose is unknown, or a type is wrong.
            ClosedError: The client is closed.
        """
        self._refuses_in_scope("set_consent")
        if isinstance(regulation, ConsentState):
            self._refuses_when_closed()
            self._state.change_consent("state", regulation.to_json())
            return
        answer_change(regulation, purpose, consented, details)  # a wrong call raises, also on a closed client
        self._refuses_when_closed()
        self._state.change_consent("answer", regulation, purpose, consented, details)

    def remove_consent(self, regulation: str | None = None, purpose: str | None = None) -> None:
        """Remove the answer for one purpose, all of a regulation, or (without arguments) all there is.

        Errors as :meth:`set_consent`.
        """
        self._refuses_in_scope("remove_consent")
        removal_change(regulation, purpose)  # a wrong call raises, also on a closed client
        self._refuses_when_closed()
        self._state.change_consent("removal", regulation, purpose)

    def set_opt_out(self, opted_out: bool, *, erase: bool = False) -> None:
        """Opt the user out of everything, or in again; remembered. Events and attributes are refused meanwhile.

        Args:
            opted_out: Out or in.
            erase: With ``True``, discard what is queued or set aside in the kits that run; else it is still delivered.

        Raises:
            InvalidArgumentError: An argument is no bool, or ``erase`` goes with opting in.
            ClosedError: The client is closed.
        """
        for name, value in {"opted_out": opted_out, "erase": erase}.items():
            if not isinstance(value, bool):
                raise InvalidArgumentError(f"{name} must be a bool, not {describe(value)}")
        if erase and not opted_out:
            raise InvalidArgumentError("erase goes with opting out only")
        if erase:
            self._refuses_in_scope("set_opt_out(..., erase=True)")
        if self._scoped("set_opt_out", opted_out):
            return
        self._refuses_when_closed()
        self._refusing = True  # until it has been decided
        self._state.set_opt_out(opted_out, erase=erase)
        self._look_again()

    def set_push_token(self, token: str) -> bool:
        """Hand a push token to the kits, those that start later included; true if a kit took it."""
        token = check_name(token, "push token")
        if self._scoped("set_push_token", token):
            return True
        self._refuses_when_closed()
        if not self._state.refuses:
            self._touch()
        return self._kits.set_push_token(token)

    # -- mParticle's own spelling -------------------------------------------------------------------------------
    setUserAttribute = set_user_attribute  # noqa: N815  # mParticle's clients spell it so; likewise below
    setUserAttributes = set_user_attributes  # noqa: N815
    setUserAttributeList = set_user_attribute_list  # noqa: N815
    setUserTag = set_user_tag  # noqa: N815
    removeUserAttribute = remove_user_attribute  # noqa: N815
    incrementUserAttribute = increment_user_attribute  # noqa: N815
    setConsent = set_consent  # noqa: N815
    removeConsent = remove_consent  # noqa: N815
    setOptOut = set_opt_out  # noqa: N815
    setPushToken = set_push_token  # noqa: N815
