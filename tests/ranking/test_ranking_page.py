"""The ranking as one HTML file: whole without a script, nothing from outside, names as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from affekt.errors import RunError
from affekt.pages.plot import MOST_CELLS, better_svg, scale_of
from affekt.ranking import Comparisons, RankSettings, rank
from affekt.ranking.page import ranking_page, render_ranking
from affekt.wording import signed_briefly

HOSTILE = '"><script>document.title=1</script><img src=x onerror=alert(1)>'


def some(names=('ash', 'birch', 'cedar'), size=120, seed=0, **columns) -> Comparisons:
    """Votes between items of falling strength."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, len(names), size)
    right = (left + rng.integers(1, len(names), size)) % len(names)
    chance = 1 / (1 + np.exp(0.8 * (left - right)))
    drawn = rng.random(size)
    outcome = np.where(drawn < 0.9 * chance, 1, np.where(drawn < 0.9, -1, 0))
    return Comparisons.of([names[i] for i in left], [names[i] for i in right], outcome.tolist(), **columns)


class Tags(HTMLParser):
    """Every start tag with its attributes, and whether tags are closed in order."""

    VOID = frozenset({'meta', 'link', 'br', 'img', 'input', 'line', 'circle', 'rect'})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_figure_of_the_ranking_stands_in_the_markup():
    ranking = rank(some())
    page = ranking_page(ranking)
    text = re.sub(r'<(style|script)[^>]*>.*?</\1>|<[^>]+>', ' ', page, flags=re.S)
    for one in ranking.standings:
        assert one.item in text
        assert f'{abs(one.strength):.2f}' in text
        assert f'{abs(one.low):.2f}' in text
        assert f'{one.wins:g}' in text
    assert 'wins and ties lead from every item to every other' in text
    for pair in ranking.next_pairs:
        assert pair.left in text


def test_tags_are_balanced_and_nothing_comes_from_elsewhere():
    tags = Tags(ranking_page(rank(some(first=[1, -1] * 60, sample=list(range(30)) * 4))))
    assert tags.open == []
    for tag, attributes in tags.found:
        assert 'style' not in attributes
        assert not any(name.startswith('on') for name in attributes), (tag, attributes)
        for name in ('src', 'href'):
            assert attributes.get(name, 'data:').startswith('data:')


def test_hostile_names_are_text():
    page = ranking_page(rank(some((HOSTILE, 'b', 'c'))), {'input': HOSTILE, 'sha256': HOSTILE})
    tags = Tags(page)
    assert [tag for tag, _ in tags.found].count('script') == 1
    assert 'img' not in [tag for tag, _ in tags.found]
    assert tags.open == []


def test_a_sure_first_place_and_an_open_one_are_said():
    sure = rank(some(('ash', 'birch'), 600))
    assert 'ash is first.' in ranking_page(sure)
    votes = Comparisons.of(['a', 'b'] * 4, ['b', 'a'] * 4, ['left'] * 8)
    assert 'No item can be told apart' in ranking_page(rank(votes))


def test_what_only_the_prior_holds_is_said():
    votes = Comparisons.of(['a', 'a', 'b'], ['b', 'b', 'c'], ['left'] * 3)
    page = ranking_page(rank(votes, RankSettings(prior=1.0)))
    assert 'Only the prior holds them: a is undefeated; c is without a win or tie.' in page
    assert 'Gaussian, 1 log-odds' in page


def test_an_effect_that_cannot_be_told_has_its_reason_instead_of_a_bar():
    # Left is always longer, and always shown first: the two cannot be told apart from each other or the items.
    votes = Comparisons.of(
        ['a', 'b'] * 6, ['b', 'a'] * 6, ['left', 'left', 'right', 'right'] * 3, covariates={'length': [1.0, -1.0] * 6}
    )
    page = ranking_page(rank(votes))
    assert 'only repeats' in page
    Tags(page)


def test_an_item_that_was_never_compared_has_no_nan_on_the_page():
    votes = Comparisons.of(['a', 'b'], ['b', 'a'], ['left', 'left'], items=['a', 'b', 'c'])
    page = ranking_page(rank(votes, RankSettings(prior=1.0)))
    shown = re.sub(r'<[^>]+>', ' ', re.sub(r'<(style|script)[^>]*>.*?</\1>', '', page, flags=re.S))
    assert 'nan' not in shown.lower()
    assert not re.search(r'(x1|x2|cx)="nan"', page)


def test_the_page_is_written_whole_or_an_error(tmp_path):
    ranking = rank(some())
    assert render_ranking(ranking, tmp_path / 'r.html').read_text() == ranking_page(ranking)
    (tmp_path / 'file').touch()
    with pytest.raises(RunError):
        render_ranking(ranking, tmp_path / 'file' / 'r.html')


@pytest.mark.parametrize(
    ('values', 'ticks'),
    [
        # Range 2.5 in about five steps: 0.5.
        ([-1.0, 1.5], (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)),
        # Range 0.3: 0.1 is the first of 1, 2, 5 that is no less than 0.06.
        ([0.2, float('nan')], (-0.1, 0.0, 0.1, 0.2)),
        ([float('inf')], (-0.1, -0.05, 0.0, 0.05, 0.1)),
    ],
)
def test_ticks_are_round_and_hold_everything(values, ticks):
    assert scale_of(values).ticks == pytest.approx(ticks)


def test_ticks_are_written_short():
    assert [signed_briefly(value) for value in (0.0, 0.5, -2.0, 0.25)] == ['0', '+0.5', '\N{MINUS SIGN}2', '+0.25']


def test_many_items_have_no_square_for_every_two():
    assert better_svg(['x'] * (MOST_CELLS + 1), np.full((MOST_CELLS + 1,) * 2, 0.5)) == ''


def test_an_elo_that_is_left_out_is_a_dash():
    page = ranking_page(rank(some(weight=np.full(120, 1e7))))
    assert re.search(r'<td class="number" data-value="nan">–</td></tr>', page)
    assert '>nan<' not in page
