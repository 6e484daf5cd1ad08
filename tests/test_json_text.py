"""Compact JSON: the same bytes as the standard library's encoder, with and without its C part."""

from __future__ import annotations

import importlib
import json
import json.encoder
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mparticle_kit_braze import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_it_is_what_the_standard_library_writes(value: Any) -> None:
    """Without blanks, and with characters as they are."""
    assert json_text.compact(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1}, [b"x"], {(1, 2): 3}])
def test_what_has_no_json_is_refused(value: Any) -> None:
    """Numbers that are none, and types JSON does not know."""
    with pytest.raises((ValueError, TypeError)):
        json_text.compact(value)


def test_what_holds_itself_is_refused() -> None:
    """A circle ends in a RecursionError; the next value is written as ever."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        json_text.compact(circle)
    assert json_text.compact([1]) == "[1]"


@pytest.mark.parametrize("there", [True, False])
def test_an_interpreter_with_another_encoder_will_do(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """Without the C encoder, or with one that is made in another way, the public one writes the same."""
    real = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # not in its stubs
    asked: list[Any] = []

    def another(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) == 1:  # by us; later calls are the standard library's own
            raise TypeError("other arguments, please")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(json.encoder, "c_make_encoder", another if there else None)
        importlib.reload(json_text)
        assert json_text.compact({"a": [1, "é"]}) == '{"a":[1,"é"]}'
        with pytest.raises(ValueError, match="JSON"):
            json_text.compact(math.nan)
        assert len(asked) == 3 * there
    importlib.reload(json_text)
