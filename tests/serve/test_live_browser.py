"""The live page in a real browser: video with boxes, curves, people, stop, and the end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from browsing import CONTRASTS, chromium

pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
pytest.importorskip('wsproto', reason='wsproto is not installed')
from selenium.webdriver.support.wait import WebDriverWait

from affekt.live import LiveFace, LiveReading, LiveVoice
from affekt.serve import LiveFeed, stream_page

pytestmark = pytest.mark.browser

NAMES = ('happiness', 'neutral', 'sadness', 'anger', 'fear', 'surprise', 'disgust')
HOSTILE = '<img src=x onerror=document.title="owned">'


def reading(time_s: float, *people: str) -> LiveReading:
    shares = np.array([4.0 + math.sin(time_s), 3.0, 2.0, 1.0, 0.5, 0.4, 0.3])
    expression = dict(zip(NAMES, (shares / shares.sum()).tolist(), strict=True))
    faces = tuple(
        LiveFace(person, (40.0 + 150 * at, 30.0, 100.0, 120.0), expression, math.sin(time_s), 0.2, 0.9)
        for at, person in enumerate(people)
    )
    voice = LiveVoice(math.sin(2 * time_s) > 0, level_db=-30.0 + 10 * math.sin(5 * time_s))
    return LiveReading(time_s, 0.03 + 0.001 * (time_s % 10), 2, faces, voice, 'well said' if time_s > 5 else '')


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    opened = chromium(tmp_path_factory.mktemp('profile'))
    yield opened
    opened.quit()


@pytest.fixture
def feed():
    """Ten seconds of one person, and a second one who is named by a stranger."""
    filled = LiveFeed('clip <b>.mp4', 'film study')
    frame = np.full((180, 320, 3), (0, 120, 0), np.uint8)
    for number in range(101):
        people = ('person 1', HOSTILE) if number > 50 else ('person 1',)
        filled.take(reading(number / 10, *people), frame)
    filled.say(frames=101, dropped=2, reconnects=1)
    return filled


@pytest.fixture
def page(browser, feed):
    with stream_page(feed) as link:
        browser.get(link)
        wait(browser, 'document.documentElement.dataset.time === "10.00"')
        yield browser
        assert [line for line in browser.get_log('browser') if line['level'] == 'SEVERE'] == []
        feed.say('ended')
        wait(browser, said('state', 'ended'))


def wait(browser, claim: str) -> None:
    WebDriverWait(browser, 15, poll_frequency=0.05).until(lambda opened: opened.execute_script(f'return {claim}'))


def said(node: str, words: str) -> str:
    return f'document.getElementById("{node}").textContent.includes({words!r})'


def text(browser, node: str) -> str:
    return browser.execute_script(f'return document.getElementById("{node}").textContent')


def size(browser, width: int, height: int, scheme: str = 'light') -> None:
    browser.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': False},
    )
    browser.execute_cdp_cmd(
        'Emulation.setEmulatedMedia', {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]}
    )
    browser.execute_async_script('requestAnimationFrame(() => requestAnimationFrame(arguments[0]))')


def inked(browser, node: str) -> int:
    """How many pixels of a canvas are not empty."""
    return browser.execute_script(
        'const sheet = document.getElementById(arguments[0]);'
        'const pixels = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height).data;'
        'let inked = 0; for (let at = 3; at < pixels.length; at += 4) inked += pixels[at] > 0; return inked;', node,
    )  # fmt: skip


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize(('width', 'height'), [(1280, 900), (390, 844)])
def test_it_fits_the_window_and_can_be_read(page, width, height, scheme):
    size(page, width, height, scheme)
    assert page.execute_script('return document.documentElement.scrollWidth') <= width
    assert page.execute_script(f'return {CONTRASTS}') == []
    bottom = page.execute_script('return document.getElementById("video").getBoundingClientRect().bottom')
    assert bottom < height, 'the video is on the first screen'


def test_video_boxes_curves_and_figures_are_shown(page):
    size(page, 1280, 900)
    video = 'document.getElementById("video")'
    pixel = page.execute_script(f'return [...{video}.getContext("2d").getImageData(5, {video}.height - 5, 1, 1).data]')
    assert max(abs(a - b) for a, b in zip(pixel, (0, 120, 0, 255), strict=True)) < 12
    # the left edge of the first box: x 40 of 320, white between dark
    edge = page.execute_script(
        f'const s = {video}; return [...s.getContext("2d").getImageData(Math.round(s.width * 40 / 320),'
        's.height / 2, 1, 1).data]'
    )
    assert min(edge) > 150
    assert all(inked(page, node) > 500 for node in ('affect', 'voice'))
    assert text(page, 'state') == 'live 0:10'
    assert [text(page, node) for node in ('frames', 'dropped', 'reconnects')] == ['101', '2', '1']
    # delays in order: 30.0, 30.0, 30.1, 30.2, … ms; the 51st is 34.9, and the 96th, of 101, 39.4
    assert (text(page, 'p50'), text(page, 'p95')) == ('35 ms', '39 ms')
    assert text(page, 'affect-now') == 'valence −0.54 · arousal +0.20'
    rows = page.execute_script('return [...document.querySelectorAll("#expressions li")].map((row) => row.innerText)')
    assert [row.split()[0] for row in rows] == ['happiness', 'neutral', 'sadness', 'anger', 'fear']
    assert text(page, 'words') == 'well said'
    assert 'dB' in text(page, 'voice-now')


def test_people_are_chosen_and_what_strangers_call_them_stays_text(page):
    buttons = page.execute_script('return [...document.querySelectorAll("#people button")].map((b) => b.textContent)')
    assert sorted(buttons) == sorted(['person 1', HOSTILE])
    assert page.title == 'clip <b>.mp4: live'
    assert text(page, 'title') == 'clip <b>.mp4'
    page.execute_script(
        '[...document.querySelectorAll("#people button")].find((b) => b.textContent[0] === "<").click()'
    )
    wait(page, 'document.querySelector("#people [aria-pressed=true]").textContent[0] === "<"')
    assert page.execute_script('return document.querySelectorAll("main img").length') == 0


def test_the_notice_and_its_whole_text_are_there(page):
    assert 'affekt notice' in text(page, 'notice-line')
    assert 'film study' in text(page, 'purpose')
    page.execute_script('document.querySelector(".notice summary").click()')
    notice = text(page, 'notice')
    assert (
        'It does not measure what a person feels, thinks or intends. Expressions differ between people, cultures and '
        'situations; the program' in notice
    )
    assert len(notice.split('\n\n')) == 5


def test_stop_asks_and_start_begins_with_empty_curves(page, feed):
    page.execute_script('document.getElementById("turn").click()')
    assert feed.asked_to_stop.wait(5)
    feed.say('saving')
    wait(page, said('state', 'saving'))
    assert page.execute_script('return document.getElementById("turn").disabled')
    feed.say('stopped', 'Stopped. It is saved in run.')
    wait(page, said('banner', 'saved in run'))
    wait(page, said('turn', 'Start'))
    page.execute_script('document.getElementById("turn").click()')
    assert feed.asked_to_start.wait(5)
    feed.begin()
    feed.take(reading(0.1, 'person 1'), np.zeros((180, 320, 3), np.uint8))
    wait(page, 'document.documentElement.dataset.time === "0.10"')
    assert text(page, 'state') == 'live 0:00'
    assert text(page, 'turn') == 'Stop'


def test_the_end_is_said_and_nothing_is_asked_any_more(browser, feed):
    with stream_page(feed) as link:
        browser.get(link)
        wait(browser, said('state', 'live'))
        feed.say('ended', 'The stream has ended. It is saved in run.')
    wait(browser, said('banner', 'saved in run'))
    assert text(browser, 'state') == 'ended'
    assert browser.execute_script('return document.getElementById("turn").disabled')


def test_a_link_without_its_token_says_what_to_do(browser, feed):
    with stream_page(feed) as link:
        browser.get(f'{link.partition("#")[0]}#token=wrong')
        wait(browser, '!document.getElementById("banner").hidden')
        assert 'not valid' in text(browser, 'banner')
        browser.execute_cdp_cmd('Network.clearBrowserCookies', {})
        browser.get('about:blank')
        browser.get(link.partition('#')[0])
        wait(browser, said('banner', 'open the link'))
        browser.get_log('browser')
