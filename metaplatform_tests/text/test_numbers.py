"""Metrics for people: four decimals, and never a line of digits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.text.numbers import metric_text


@given(value=st.floats(-1e308, 1e308) | st.sampled_from([math.inf, -math.inf, math.nan]), signed=st.booleans())
def test_a_metric_is_short_whatever_it_is_and_says_its_sign_when_asked(value: float, *, signed: bool) -> None:
    found = metric_text(value, signed=signed)
    assert len(found) <= 12
    assert found[0] in "+-" or not signed
    assert math.isnan(value) or float(found) == pytest.approx(value, rel=1e-3, abs=1e-4)
