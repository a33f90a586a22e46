"""Captions checked in a real browser: by keyboard and by mouse, through a killed server, at two widths."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from browsing import CONTRASTS, Server, chromium, covered_by_choices

from affekt.annotation.checking import open_checks, outcome_of
from affekt.media.synthetic import numbered_images
from affekt.media.writing import MediaWriter
from affekt.tables import csv_bytes

pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
pytest.importorskip('uvicorn', reason='uvicorn is not installed')
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = pytest.mark.browser
AWAY_FOR_MARKS = """
    window.away = true;
    const sent = window.fetch;
    window.fetch = async (where, ...rest) => {
      if (window.away && String(where).includes('/api/mark')) throw new TypeError('away');
      return sent(where, ...rest);
    };
"""
"""A page whose server answers, but takes no marks while `away`."""
TEXT = 'She smiles with a closed mouth. Her voice is low and slow. It rains outside. She seems content, perhaps tired.'


def write_captions(folder: Path, clips: int = 4) -> list[str]:
    """Clips and captions of them; returns the words of a command line."""
    media = folder / 'clips'
    media.mkdir()
    for clip in range(clips):
        with MediaWriter(media / f'clip{clip}.mp4', 10.0) as writer:
            for number, image in enumerate(numbered_images(8, 160, 120)):
                writer.add_picture(image, number / 10)
    rows = [
        [f'clip{clip}', TEXT, json.dumps(['happy', 'content', 'a bit tired']), 'merged', 'Well, <b>that</b> is that.']
        for clip in range(clips)
    ]
    heads = ('name', 'description', 'openset', 'status', 'subtitle')
    (folder / 'captions.csv').write_bytes(csv_bytes(heads, rows))
    return [
        str(folder / 'captions.csv'), '--check', '--media', str(media), '--out', str(folder / 'checks'), '--json'
    ]  # fmt: skip


class Checker:
    """Somebody at a window."""

    def __init__(self, browser, link: str, width: int = 1280, height: int = 800) -> None:
        self.browser = browser
        size = {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': width < 500}
        browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
        origin = link.split('#')[0].rstrip('/')
        browser.execute_cdp_cmd('Storage.clearDataForOrigin', {'origin': origin, 'storageTypes': 'all'})
        browser.get('about:blank')
        browser.get(link)
        self.until('document.documentElement.dataset.ready')

    def js(self, expression: str) -> object:
        return self.browser.execute_script(f'return {expression}')

    def until(self, claim: str) -> None:
        WebDriverWait(self.browser, 20, poll_frequency=0.05).until(lambda _: self.js(claim))

    def one(self, selector: str):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys: str) -> None:
        ActionChains(self.browser, duration=0).send_keys(*keys).perform()

    def saved(self) -> None:
        self.until('document.documentElement.dataset.saved === "yes"')

    def join(self, name: str) -> None:
        self.one('#name').click()
        self.keys(name, Keys.ENTER)
        self.until('document.documentElement.dataset.at === "0"')


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    opened = chromium(tmp_path_factory.mktemp('profile'))
    yield opened
    opened.quit()


def _served(folder: Path):
    server = Server(write_captions(folder))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """One for all tests that leave it alone."""
    yield from _served(tmp_path_factory.mktemp('captions'))


@pytest.fixture
def mortal(tmp_path):
    """One that a test may kill."""
    yield from _served(tmp_path)


def test_labels_and_sentences_are_marked_by_keys_and_survive_a_killed_server(browser, mortal, tmp_path):
    ann = Checker(browser, mortal.links['checkers'])
    ann.join('Ann')
    assert ann.js('document.querySelectorAll(".subtitle b").length') == 0
    ann.keys('1')  # accepts
    ann.keys('2', '2')  # accepts, then strikes
    ann.keys('a', 'Proud', Keys.ENTER)
    ann.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN, 'x')
    ann.saved()
    mortal.stop(signal.SIGKILL)
    ann.keys('3', '3')  # kept in the page while nobody answers
    ann.until('!document.getElementById("banner").hidden')
    mortal.start('--resume')
    ann.saved()
    ann.keys(Keys.ENTER)
    ann.until('document.documentElement.dataset.at === "1"')
    ann.one('#skip').click()
    ann.until('document.documentElement.dataset.at === "2"')
    ann.keys('d')
    ann.until('document.documentElement.dataset.at === "3"')
    ann.keys(Keys.ARROW_LEFT)
    ann.until('document.documentElement.dataset.at === "2"')

    state = open_checks(tmp_path / 'checks')
    first, second, third, _ = (outcome_of(task, state) for task in state.tasks.values())
    assert first.labels == ('happy', 'proud')
    assert first.struck_sentences == ('It rains outside.',)
    assert (second.verdict, third.verdict) == ('', 'struck')


def test_marks_that_wait_for_an_answer_survive_a_closed_page_in_their_order(browser, mortal, tmp_path):
    ann = Checker(browser, mortal.links['checkers'])
    ann.join('Ann')
    ann.js('void (window.fetch = async () => { throw new TypeError("away"); })')
    ann.keys('1', '2', '2', '3', '3', '3')  # accepts, strikes, and accepts, strikes and clears
    ann.until('!document.getElementById("banner").hidden')
    ann.browser.refresh()
    ann.until('document.documentElement.dataset.ready')
    ann.until('!Object.keys(localStorage).some((key) => key.startsWith("affekt vote"))')
    ann.saved()
    assert ann.js('[...document.querySelectorAll(".chip")].map((chip) => chip.className.slice(5))') == [
        'accept', 'strike', '',
    ]  # fmt: skip


def test_a_mark_that_is_made_before_kept_ones_are_stored_comes_after_them(browser, mortal):
    away = browser.execute_cdp_cmd('Page.addScriptToEvaluateOnNewDocument', {'source': AWAY_FOR_MARKS})
    try:
        ann = Checker(browser, mortal.links['checkers'])
        ann.join('Ann')
        ann.keys('1', '1')  # accepts and strikes
        ann.until('!document.getElementById("banner").hidden')
        ann.browser.refresh()
        ann.until('document.documentElement.dataset.at === "0"')
        ann.keys('1')  # accepts again
    finally:
        browser.execute_cdp_cmd('Page.removeScriptToEvaluateOnNewDocument', away)
    ann.js('(window.away = false)')
    ann.until('!Object.keys(localStorage).some((key) => key.startsWith("affekt vote"))')
    ann.saved()
    ann.browser.refresh()
    ann.until('document.documentElement.dataset.ready')
    assert ann.js('document.querySelector(".chip").className') == 'chip accept'


@pytest.mark.parametrize('width', [1280, 390])
def test_the_page_fits_and_its_words_can_be_read(browser, server, width):
    person = Checker(browser, server.links['checkers'], width)
    person.join(f'P{width}')
    person.one('.chip .yes').click()
    person.saved()
    assert person.js('document.documentElement.scrollWidth') <= width
    assert person.js(CONTRASTS) == []
    boxes = person.js(
        '[...document.querySelectorAll(".chip button, .choose, .adding button")]'
        '.map((node) => node.getBoundingClientRect().height)'
    )
    assert min(boxes) >= 34
    covered = """[...document.querySelectorAll('.sentence')].filter((node) => {
        window.scrollTo(0, 0);
        node.focus();
        const box = node.getBoundingClientRect();
        return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) !== node;
    }).map((node) => node.textContent)"""
    assert person.js(covered) == []  # what the keyboard reaches is not behind the fixed buttons of a phone


@pytest.mark.parametrize(('width', 'height'), [(390, 844), (844, 390), (320, 256)])
def test_the_buttons_of_a_phone_cover_nothing(browser, server, width, height):
    person = Checker(browser, server.links['checkers'], width, height)
    person.join(f'Q{width}')
    assert covered_by_choices(person.js) == []
