"""The ranking page in a real browser: silent, readable, sortable, and whole without scripts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from browsing import CONTRASTS, chromium

from affekt.ranking import Comparisons, rank
from affekt.ranking.page import render_ranking

pytestmark = pytest.mark.browser

ITEMS = ('alder', 'birch', 'cedar', '<b>dogwood</b> with a long name that goes on', 'elm', 'fir')


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    held = chromium(tmp_path_factory.mktemp('profile'))
    yield held
    held.quit()


@pytest.fixture(scope='module')
def page(tmp_path_factory) -> str:
    rng = np.random.default_rng(2)
    left = rng.integers(0, 6, 300)
    right = (left + rng.integers(1, 6, 300)) % 6
    outcome = np.where(rng.random(300) < 1 / (1 + np.exp(0.5 * (left - right))), 1, -1)
    votes = Comparisons.of(
        [ITEMS[at] for at in left],
        [ITEMS[at] for at in right],
        outcome.tolist(),
        first=rng.choice([1, -1], 300),
        rater=rng.integers(0, 4, 300).tolist(),
        covariates={'length': rng.normal(size=300)},
    )
    return render_ranking(rank(votes), tmp_path_factory.mktemp('page') / 'ranking.html').as_uri()


def _open(browser, page: str, width: int = 1280, *, dark: bool = False, media: str = '') -> None:
    call = browser.execute_cdp_cmd
    call('Emulation.setDeviceMetricsOverride', {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': False})
    scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
    call('Emulation.setEmulatedMedia', {'media': media, 'features': [scheme]})
    browser.get(page)


def _names(browser) -> list[str]:
    return browser.execute_script(
        'return [...document.querySelectorAll("table.board tbody th")].map((one) => one.textContent)'
    )


@pytest.mark.parametrize(('width', 'dark'), [(390, False), (390, True), (1280, False), (1280, True)])
def test_it_is_readable_and_fits_at_both_widths_in_both_themes(browser, page, width, dark):
    browser.get_log('browser')
    _open(browser, page, width, dark=dark)
    assert browser.execute_script('return document.documentElement.dataset.ready') == 'yes'
    assert browser.execute_script('return document.documentElement.scrollWidth') <= width
    assert browser.execute_script(f'return {CONTRASTS}') == []
    assert browser.get_log('browser') == []


def test_it_asks_nothing_of_the_network(browser, page):
    _open(browser, page)
    asked = browser.execute_script('return performance.getEntriesByType("resource").map((one) => one.name)')
    assert [url for url in asked if not url.startswith('data:')] == []


def test_heads_sort_both_ways_and_say_so(browser, page):
    _open(browser, page)
    ranked = _names(browser)
    heads = browser.find_elements('css selector', 'table.board th button')
    named = {head.text.split()[0]: head for head in heads}
    named['item'].click()
    plain = [name for name in _names(browser) if not name.startswith('<')]
    assert plain == ['alder', 'birch', 'cedar', 'elm', 'fir']
    assert browser.execute_script('return document.querySelector("th[aria-sort]").ariaSort') == 'ascending'
    named['strength'].click()
    assert _names(browser) == ranked[::-1]
    named['strength'].click()
    assert _names(browser) == ranked
    assert browser.execute_script('return document.querySelectorAll("th[aria-sort]").length') == 1


def test_without_scripts_everything_stands_there(browser, page):
    browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': True})
    try:
        _open(browser, page)
        text = browser.find_element('css selector', 'main').text
    finally:
        browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': False})
    for words in ('Leaderboard', 'Who cannot be told apart', 'What to ask next', 'How this was made', *ITEMS):
        assert words in text
    assert 'Theme' not in text


def test_the_theme_can_be_switched_and_print_is_light(browser, page):
    _open(browser, page)
    ground = 'return getComputedStyle(document.body).backgroundColor'
    light = browser.execute_script(ground)
    browser.find_element('id', 'theme').click()
    assert browser.execute_script(ground) != light
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': 'print'})
    assert browser.execute_script(ground) == 'rgb(255, 255, 255)'
    printed = json.dumps(browser.execute_cdp_cmd('Page.printToPDF', {'printBackground': False}))
    assert len(printed) > 20_000
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': ''})
