"""Drawings of intervals: what stands on an axis can be read whole."""

from __future__ import annotations

import re

import pytest

from affekt.pages.plot import LETTER, WIDTH, axis_svg, scale_of


@pytest.mark.parametrize('values', [(-14.0, 83.3), (-83.3, 1.0), (-0.2, 0.3), (-2500.0, 4000.0)])
def test_no_text_of_an_axis_reaches_over_its_edge(values):
    texts = re.findall(r'<text x="([\d.]+)"[^>]*>([^<]+)</text>', axis_svg(scale_of(values)))
    assert len(texts) > 2
    for x, text in texts:
        half = LETTER * len(text) / 2
        assert half <= float(x) <= WIDTH - half


def test_ticks_within_an_axis_stand_where_their_values_lie():
    scale = scale_of((-14.0, 83.3))
    assert f'<text x="{scale.x(0.0)}" y="14" text-anchor="middle" class="tick">0</text>' in axis_svg(scale)
