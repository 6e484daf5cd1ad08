"""Regular expressions of campaigns: JavaScript's syntax and meaning."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze.braze.messaging.expressions import in_python


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("a$", "ba", True),
        ("a$", "a\n", False),  # the very end, not before a line break
        ("a|b$", "b", True),
        ("[$]\\$", "$$", True),
        ("a.b", "a\rb", False),
        ("a[.]b", "a.b", True),
        ("(?<y>\\d)\\k<y>", "11", True),
        ("(?<y>\\d)\\k<y>", "12", False),
        ("(?<=a)b", "ab", True),
        ("(?<!a)b", "ab", False),
        ("(?:\\d)(?=x)(?!y)", "1x", True),
        ("^(?:$)", "\n", False),
        ("(?:[)])", ")", True),
        ("[[]", "[", True),
        ("[a&&b]", "&", True),
        ("[a||b~~]", "|", True),
        ("[!-~]", "q", True),
        ("[a\\]b]c", "]c", True),
        ("[\\b]", "\b", True),
        ("[]", "a", False),  # nothing
        ("[^]", "\n", True),  # anything
        ("\\Z\\A\\p", "ZAp", True),  # letters that mean nothing stand for themselves
        ("\\s", "\u00a0", True),
        ("[\\s]", "\ufeff", True),
        ("\\S", "\u2003", False),
        ("\\d+", "\u0663", False),  # ASCII digits only
        ("\\w", "\u00e9", False),
        ("\\cA[\\cB]", "\x01\x02", True),
        ("\\u0041\\x42\\/", "AB/", True),
        ("^a{,2}$", "a{,2}", True),
        ("^[^@]+@[^@]+$", "a@b", True),
        ("", "anything", True),
    ],
)
def test_expressions(expression: str, text: str, found: bool) -> None:
    """Each means what it means in JavaScript."""
    pattern = in_python(expression)
    assert pattern is not None
    assert (pattern.search(text) is not None) is found


@pytest.mark.parametrize("expression", ["(", "*", "[", "(?i)a", "(?P<x>a)", "(?#x)", "(?>a)", "[b-a]", "(?", "a{3,1}"])
def test_invalid_expressions(expression: str) -> None:
    """What JavaScript does not take is no expression, also where Python would take it."""
    assert in_python(expression) is None


@given(st.text(alphabet="ab1[]()^$.*+?{}|\\<>=!:,-&~ksScdPZ\n", max_size=12))
def test_nothing_raises_or_warns(expression: str) -> None:
    """Whatever the server writes: an expression or none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pattern = in_python(expression)
    if pattern is not None:
        pattern.search("ab1 []\n")
