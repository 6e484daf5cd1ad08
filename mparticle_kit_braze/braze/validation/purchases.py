"""Purchases: price, currency and quantity as the Web SDK takes and writes them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from ..encoding import plain_scalar
from ..refusal import Refused
from .values import leading_integer, leading_number, unwrapped

__all__ = ["CURRENCIES", "currency_code", "price_text", "quantity_count"]

_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTC BTN BWP BYR BZD CAD CDF CHF
CLF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EEK EGP ERN ETB EUR FJD FKP GBP GEL GGP GHS GIP GMD GNF GTQ GYD
HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD
LSL LTL LVL LYD MAD MDL MGA MKD MMK MNT MOP MRO MTL MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK
PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLL SOS SRD STD SVC SYP SZL THB TJS TMT TND TOP TRY
TTD TWD TZS UAH UGX USD UYU UZS VEF VND VUV WST XAF XAG XAU XCD XDR XOF XPD XPF XPT YER ZAR ZMK ZMW ZWL
"""
CURRENCIES = frozenset(_CODES.split())
"""The 171 codes Braze's SDKs know. Dated: BYN, MRU, STN, VES and SLE are missing, EEK, LTL, LVL and MTL are in."""

CENT = Decimal("0.01")
# A context of our own: the host may have set a small precision or other traps for its thread.
ROUNDING = Context(prec=60, rounding=ROUND_HALF_UP)
EXPONENT_FROM = Decimal(10) ** 21


def currency_code(value: Any) -> str:
    """The upper-case code; ``None`` is USD.

    Raises:
        Refused: Not one of Braze's 171 codes.
    """
    value = unwrapped(value)
    if value is None:
        return "USD"
    code = value.upper() if isinstance(value, str) else None
    if code not in CURRENCIES:
        raise Refused("currency must be one of the ISO 4217 codes that Braze knows, such as USD")
    return str(code)


def price_text(value: Any) -> str:
    """The price as text with two decimals, rounded half away from zero on the exact value (2.675 is 2.67).

    Text is read up to the first character that is no part of a number, as the Web SDK does.

    Raises:
        Refused: Not a finite number.
    """
    number = _exact(value)
    if number.copy_abs() >= EXPONENT_FROM:
        # The Web SDK writes such prices in exponent form.
        return repr(_finite(float(number)))
    text = str(number.quantize(CENT, context=ROUNDING))
    return "0.00" if number.is_zero() else text


def _exact(value: Any) -> Decimal:
    value = unwrapped(value)
    if isinstance(value, str):
        number = leading_number(value)
        if number is None:
            raise Refused("price must be a number")
        return Decimal(_finite(number))
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise Refused("price must be a finite number")
        return value
    if isinstance(value, int) and value.bit_length() > 63:
        # Beyond 64 bits a price is what a float makes of it, as in the Web SDK: it goes as text.
        if value.bit_length() > 1023:
            raise Refused("price must be a number that a float can hold")
        return Decimal(float(value))
    try:
        plain = plain_scalar(value)
    except Refused as refused:
        raise Refused(f"price must be a number; it is {refused.reason}") from None
    if type(plain) is not int and type(plain) is not float:
        raise Refused(f"price must be a number, not {type(value).__name__}")
    return Decimal(plain)


def _finite(number: float) -> float:
    if number - number != 0:
        raise Refused("price must be a finite number")
    return number


def quantity_count(value: Any) -> int:
    """A whole number from 1 to 100; fractions are cut, ``None`` is 1.

    Raises:
        Refused: Anything else.
    """
    if value is None:
        return 1
    if isinstance(value, bool):
        raise Refused("quantity must be a number, not bool")
    count = leading_integer(value, "quantity")
    if not 1 <= count <= 100:
        raise Refused("quantity must be between 1 and 100")
    return count
