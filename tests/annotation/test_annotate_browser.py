"""Raters in a real browser: by keyboard, two at once, through a reload and a killed server."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest
from browsing import CONTRASTS, Server, chromium, covered_by_choices, write_study

from affekt.annotation.journal import read_events
from affekt.annotation.study import open_votes
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import write_audio, write_image
from affekt.ranking import read_comparisons

pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
pytest.importorskip('uvicorn', reason='uvicorn is not installed')
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = pytest.mark.browser


class Person:
    """A rater with a window of their own."""

    def __init__(self, browser, link: str) -> None:
        self.browser, self.link = browser, link
        self.call('Emulation.setDeviceMetricsOverride', width=1280, height=800, deviceScaleFactor=1, mobile=False)
        origin = link.split('#')[0].rstrip('/')
        self.call('Storage.clearDataForOrigin', origin=origin, storageTypes='all')
        browser.get('about:blank')
        browser.get_log('browser')
        browser.get(link)
        self.until('dataset.ready')

    def call(self, command: str, **parameters: object) -> dict:
        return self.browser.execute_cdp_cmd(command, parameters)

    def js(self, expression: str) -> object:
        return self.browser.execute_script(f'return {expression}')

    def until(self, claim: str) -> None:
        said = f'document.documentElement.{claim}' if claim.startswith('dataset') else claim
        WebDriverWait(self.browser, 15, poll_frequency=0.05).until(lambda _: self.js(said))

    def one(self, selector: str):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys: str) -> None:
        ActionChains(self.browser, duration=0).send_keys(*keys).perform()

    def join(self, name: str) -> None:
        self.one('#name').click()
        self.keys(name, Keys.ENTER)
        self.until('dataset.open')

    @property
    def shown(self) -> str:
        return str(self.js('document.documentElement.dataset.shown'))

    @property
    def section(self) -> str:
        return str(self.js('document.documentElement.dataset.section'))

    def texts(self) -> tuple[str, str]:
        return tuple(self.js(f'document.getElementById("{side}-text").textContent') for side in ('left', 'right'))

    def choose(self, key: str | None = None) -> None:
        """Answer gold as it is known, the rest by the first text in the alphabet, unless a key is given."""
        before = self.shown
        self.until(f'dataset.open === "{before}"')
        left, right = self.texts()
        good = left.startswith('true') or (not right.startswith('true') and left < right)
        self.keys(key or (Keys.ARROW_LEFT if good else Keys.ARROW_RIGHT))
        self.until(f'dataset.shown !== "{before}"')


def _served(folder: Path, clips: int):
    held = Server(write_study(folder, clips=clips))
    held.start()
    yield held
    held.stop()


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """One for all tests that leave it alone; each has raters of its own."""
    yield from _served(tmp_path_factory.mktemp('study'), clips=6)


@pytest.fixture
def mortal(tmp_path):
    """One that a test may kill."""
    yield from _served(tmp_path, clips=4)


@pytest.fixture(scope='module')
def browsers(tmp_path_factory):
    held = [chromium(tmp_path_factory.mktemp('profile')) for _ in range(2)]
    yield held
    for browser in held:
        browser.quit()


@pytest.fixture
def ann(browsers, server) -> Person:
    return Person(browsers[0], server.links['raters'])


def _votes(server: Server, rater: str | None = None) -> list:
    """What is on disk."""
    state, _ = open_votes(Path(server.links['out']))
    return [vote for vote in state.votes() if rater in (None, vote.rater)]


def _errors(browser) -> list:
    """What the browser complains about, lost connections left out."""
    logged = [entry for entry in browser.get_log('browser') if 'ERR_CONNECTION' not in entry['message']]
    return [entry for entry in logged if entry['level'] == 'SEVERE']


def test_two_raters_annotate_by_keyboard_through_a_reload_and_a_killed_server(browsers, mortal):
    ann, ben = (Person(browser, mortal.links['raters']) for browser in browsers)
    ann.join('Ann')
    ben.join('Ben')
    for _ in range(3):
        ann.choose()
        ben.choose()
    assert ann.one('#progress').text == '0 of 13 done'
    ann.choose()
    ben.choose('t')

    # A reload shows the same question to the same rater.
    before, texts = ann.shown, ann.texts()
    ann.browser.refresh()
    ann.until('dataset.shown')
    assert (ann.shown, ann.texts()) == (before, texts)

    ann.until('dataset.open')

    # The server dies; a choice made meanwhile is kept in the browser, through a reload of the page's state, and sent.
    mortal.stop(signal.SIGKILL)
    ann.keys(Keys.ARROW_LEFT)
    ann.until('!document.getElementById("banner").hidden')
    assert 'kept here' in ann.one('#banner').text
    mortal.start('--resume')
    ann.until(f'dataset.shown !== "{before}"')
    assert ann.one('#banner').get_attribute('hidden')
    ben.choose('1')
    while ann.section == 'work' or ben.section == 'work':
        for person in (ann, ben):
            if person.section == 'work':
                person.choose()
    assert 'All done' in ann.one('#done-head').text
    for person in (ann, ben):
        assert _errors(person.browser) == []

    # 12 pairs and 4 gold items each; SIGTERM writes the files.
    assert mortal.stop() == 0
    votes = _votes(mortal)
    assert len(votes) == 2 * (12 + 4)
    assert len({(vote.rater, vote.task) for vote in votes}) == len(votes)
    table = read_comparisons(Path(mortal.links['out']) / 'comparisons.csv')
    assert (len(table), table.raters) == (24, ('Ann', 'Ben'))
    assert all(0.0 < vote.seconds < 60.0 for vote in votes)


def test_a_choice_whose_acknowledgement_was_lost_is_stored_once(ann, server):
    ann.join('Lost')
    first = ann.shown
    # The answer is thrown away after the server has stored the vote; then the page is closed.
    ann.js(
        'void (window.before = window.fetch, window.fetch = async (...all) => { await window.before(...all);'
        ' document.documentElement.dataset.lost = "yes"; throw new TypeError("lost"); })'
    )
    ann.keys(Keys.ARROW_LEFT)
    ann.until('dataset.lost')
    assert len(_votes(server, 'Lost')) == 1
    assert ann.js('Object.keys(localStorage).some((key) => key.startsWith("affekt vote"))')
    ann.browser.refresh()
    ann.until(f'dataset.shown && document.documentElement.dataset.shown !== "{first}"')
    ann.until('!Object.keys(localStorage).some((key) => key.startsWith("affekt vote"))')
    assert len(_votes(server, 'Lost')) == 1


def test_keys_undo_skip_play_and_speed(ann, server):
    ann.join('Keys')
    ann.until('document.querySelector("video") && document.querySelector("video").readyState >= 2')
    ann.keys('.', '.')
    assert ann.js('document.querySelector("video").playbackRate') == 2
    ann.keys(',')
    assert ann.one('#speed').get_property('value') == '1.5'
    ann.until('document.querySelector("video").ended')
    assert ann.one('#progress').text.endswith('of 3 done')
    ann.keys('r')
    ann.until('!document.querySelector("video").paused || document.querySelector("video").ended')
    first = ann.shown
    ann.choose('s')
    ann.until('dataset.open')
    ann.keys('u')
    ann.until(f'dataset.open === "{first}"')
    assert _votes(server, 'Keys') == []
    assert 'taken back' in str(ann.js('document.getElementById("said").textContent'))
    (skipped,) = (
        event
        for event in read_events(Path(server.links['out']) / 'votes.jsonl')
        if event['kind'] == 'vote' and event['shown'] == first
    )
    assert (skipped['choice'], skipped['watched'] > 0.5) == ('skip', True)
    ann.choose()
    (vote,) = _votes(server, 'Keys')
    assert vote.outcome == 'left'


def test_arrows_that_move_or_scroll_do_not_vote(ann, server):
    ann.join('Seek')
    ann.js('document.getElementById("seek").focus()')
    ann.keys(Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    ann.js('document.activeElement.blur()')
    ann.keys(Keys.ARROW_DOWN, Keys.ARROW_UP)
    time.sleep(0.1)
    assert _votes(server, 'Seek') == []


def test_mouse_and_touch_choose_as_well(ann, server):
    ann.join('Touch')
    first = ann.shown
    ann.one('#choose-tie').click()
    ann.until(f'dataset.shown !== "{first}"')
    ann.call('Emulation.setDeviceMetricsOverride', width=390, height=844, deviceScaleFactor=1, mobile=True)
    ann.call('Emulation.setTouchEmulationEnabled', enabled=True)
    second = ann.shown
    ann.until(f'dataset.open === "{second}"')
    at = ann.js('(() => { const b = document.getElementById("choose-right").getBoundingClientRect();'
                ' return [b.x + b.width / 2, b.y + b.height / 2]; })()')  # fmt: skip
    for _ in range(2):
        ann.call('Input.dispatchTouchEvent', type='touchStart', touchPoints=[{'x': at[0], 'y': at[1]}])
        ann.call('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])
    ann.until(f'dataset.shown !== "{second}"')
    ann.until('dataset.open')
    ann.call('Emulation.setTouchEmulationEnabled', enabled=False)
    assert len(_votes(server, 'Touch')) == 2


def _wait_until_open_after(person: Person, before: str) -> None:
    person.until(f'dataset.shown !== "{before}" && document.documentElement.dataset.open')


def test_a_double_click_votes_once_and_the_next_question_is_not_answered_unseen(ann, server):
    ann.join('Double')
    first = ann.shown
    button = ann.one('#choose-left')
    ActionChains(ann.browser, duration=0).double_click(button).perform()
    _wait_until_open_after(ann, first)
    assert len(_votes(server, 'Double')) == 1
    # The press begins on one question and ends on the next: nothing is chosen.
    second = ann.shown
    ActionChains(ann.browser, duration=0).click_and_hold(button).perform()
    ann.keys('t')
    _wait_until_open_after(ann, second)
    ActionChains(ann.browser, duration=0).release().perform()
    ann.js('1')
    assert len(_votes(server, 'Double')) == 2


def test_a_key_hit_twice_or_held_votes_once(ann, server):
    ann.join('Held')
    first = ann.shown
    ann.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    ann.until(f'dataset.shown !== "{first}"')
    ann.keys(Keys.ARROW_LEFT, '1', 't', 's')
    ann.until('dataset.open')
    assert len(_votes(server, 'Held')) == 1
    # Held down, with and without the mark that says so.
    second, code = ann.shown, {'key': 't', 'code': 'KeyT', 'windowsVirtualKeyCode': 84}
    ann.call('Input.dispatchKeyEvent', type='keyDown', text='t', **code)
    _wait_until_open_after(ann, second)
    for marked in (True, False):
        ann.call('Input.dispatchKeyEvent', type='keyDown', text='t', autoRepeat=marked, **code)
    ann.call('Input.dispatchKeyEvent', type='keyUp', **code)
    assert len(_votes(server, 'Held')) == 2
    ann.choose('t')
    assert len(_votes(server, 'Held')) == 3


def test_undo_hit_twice_takes_back_one_vote(ann, server):
    ann.join('Undo')
    for _ in range(2):
        ann.choose()
    ann.until('dataset.open')
    before = ann.shown
    ann.keys('u', 'u')
    _wait_until_open_after(ann, before)
    assert len(_votes(server, 'Undo')) == 1


def test_a_video_without_a_picture_can_only_be_skipped(browsers, shared_faults, tmp_path):
    (tmp_path / 'clips').mkdir()
    shutil.copy(shared_faults / 'hevc_black_no_message.mp4', tmp_path / 'clips' / 'black.mp4')
    (tmp_path / 'pairs.csv').write_text('name,a1,a2\nblack,calm,tense\n')
    server = Server([str(tmp_path / 'pairs.csv'), '--media', str(tmp_path / 'clips'), '--out',
                     str(tmp_path / 'votes'), '--json'])  # fmt: skip
    links = server.start()
    assert any('black.mp4' in note and 'hevc' in note and 'ffmpeg' in note for note in links['notes'])
    try:
        ann = Person(browsers[0], links['raters'])
        ann.one('#name').click()
        ann.keys('Ann', Keys.ENTER)
        ann.until('dataset.clip === "broken"')
        assert 'cannot be played' in ann.one('#stage').text
        assert [ann.one(f'#choose-{side}').is_enabled() for side in ('left', 'tie', 'right', 'skip')] == [
            False, False, False, True]  # fmt: skip
        assert ann.js('document.querySelector("video")') is None
        ann.until('dataset.skippable')
        ann.keys(Keys.ARROW_LEFT, '2', Keys.ARROW_RIGHT)
        assert _votes(server) == []
        ann.keys('s')
        ann.until('dataset.section === "done"')
    finally:
        server.stop()
    (vote,) = _votes(server)
    assert (vote.outcome, vote.watched, vote.seen) == ('skip', 0.0, 'nothing')


def test_votes_say_how_much_was_watched_and_what_was_seen_and_heard(ann, server):
    ann.join('Watch')
    ann.until('document.querySelector("video").ended')
    ann.choose()
    (vote,) = _votes(server, 'Watch')
    assert vote.watched > 0.9
    assert (vote.seen, vote.heard) == ('video', 'nothing')  # the clips have no sound


@pytest.mark.parametrize(('width', 'dark'), [(390, True), (1280, False)])
def test_pages_are_readable_on_a_dark_phone_and_a_light_desk(ann, server, width, dark):
    ann.call('Emulation.setEmulatedMedia', features=[
        {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])  # fmt: skip
    ann.call('Emulation.setDeviceMetricsOverride', width=width, height=844, deviceScaleFactor=1, mobile=False)
    assert _poor(ann) == []
    ann.join(f'Width {width} {dark}')
    assert ann.texts()[0].split()[0] in ('true', 'false')
    assert _poor(ann) == []
    assert ann.js('document.documentElement.scrollWidth') <= width
    low = ann.js('document.getElementById("choose-left").getBoundingClientRect().bottom')
    assert low <= 844
    for _ in range(5):  # the first three are the test
        ann.choose()
    ann.browser.get(server.links['board'])
    ann.until('dataset.votes > 0')
    assert _poor(ann) == []
    assert ann.js('document.documentElement.scrollWidth') <= width
    assert _errors(ann.browser) == []


@pytest.mark.parametrize(('width', 'height'), [(390, 844), (844, 390), (320, 256), (1280, 800)])
def test_the_choices_cover_nothing_and_a_desk_shows_them_all(ann, width, height):
    ann.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)
    ann.join(f'Phone {width}')
    ann.browser.execute_script('document.getElementById("left-text").textContent += " She looks down.".repeat(80)')
    assert covered_by_choices(ann.js) == []
    if width == 1280:
        ann.browser.execute_script('window.scrollTo(0, 0)')
        assert ann.js('document.getElementById("undo").getBoundingClientRect().bottom') <= height


def test_every_control_has_a_name_and_focus_is_seen(ann):
    ann.join('Focus')
    nameless = ann.js(
        '[...document.querySelectorAll("button, input, select, a, video, img")].filter((one) =>'
        ' !(one.textContent.trim() || one.ariaLabel || one.alt || one.labels?.length)).map((one) => one.outerHTML)'
    )
    assert nameless == []
    ann.keys(Keys.TAB)
    outline = ann.js('getComputedStyle(document.activeElement).outlineStyle')
    assert outline == 'solid'


def test_the_token_leaves_the_address_bar_and_a_page_without_it_says_so(ann, server, browsers):
    assert '#' not in ann.browser.current_url
    other = browsers[1]
    other.delete_all_cookies()
    other.get(server.links['raters'].split('#')[0] + '#token=wrong-token')
    WebDriverWait(other, 10).until(lambda _: other.find_element(By.ID, 'banner').text)
    assert 'not valid' in other.find_element(By.ID, 'banner').text


def test_texts_from_files_are_shown_as_they_are(ann):
    ann.join('Texts')
    for _ in range(3):
        ann.choose()
    assert ann.texts()[0].endswith('<b>&amp;')
    assert ann.js('document.querySelectorAll("#work b").length') == 0


def test_the_leaderboard_is_live_and_sorts(ann, server, browsers):
    ann.join('Live')
    for _ in range(8):
        ann.choose()
    board = browsers[1]
    board.get(server.links['board'])
    WebDriverWait(board, 10).until(lambda _: board.execute_script('return document.documentElement.dataset.votes'))
    before = int(board.execute_script('return document.documentElement.dataset.votes'))
    board.execute_script('document.querySelectorAll("table.board th button")[1].click()')
    names = board.execute_script(
        'return [...document.querySelectorAll("table.board tbody th")].map((one) => one.textContent)'
    )
    assert names == sorted(names)
    ann.choose()
    WebDriverWait(board, 10).until(
        lambda _: int(board.execute_script('return document.documentElement.dataset.votes')) > before
    )
    kept = board.execute_script(
        'return [...document.querySelectorAll("table.board tbody th")].map((one) => one.textContent)'
    )
    assert kept == names


def _poor(person: Person) -> object:
    """Texts whose contrast is below 4.5."""
    return person.js(CONTRASTS)


def test_sound_pictures_and_files_that_do_not_play(browsers, tmp_path):
    (tmp_path / 'clips').mkdir()
    write_audio(tmp_path / 'clips' / 'sound.wav', tone(0.6), 16_000)
    write_image(tmp_path / 'clips' / 'photo.png', next(numbered_images(1)))
    (tmp_path / 'clips' / 'broken.mp4').write_bytes(b'no film' * 99)
    write_audio(tmp_path / 'clips' / 'gone.wav', tone(0.6), 16_000)
    names = ('sound', 'photo', 'broken', 'gone')
    (tmp_path / 'pairs.csv').write_text(
        'name,a1,a2\n' + ''.join(f'{name},{name} left,{name} right\n' for name in names)
    )
    server = Server([str(tmp_path / 'pairs.csv'), '--media', str(tmp_path / 'clips'), '--out', str(tmp_path / 'votes'),
                     '--json'])  # fmt: skip
    links = server.start()
    (tmp_path / 'clips' / 'gone.wav').unlink()
    states = {}
    try:
        ann = Person(browsers[0], links['raters'])
        ann.one('#name').click()
        ann.keys('Ann', Keys.ENTER)
        ann.until('dataset.section === "work"')
        for _ in names:
            before = ann.shown
            ann.until('dataset.clip !== "waiting"')
            name = ann.texts()[0].split()[0]
            states[name] = ann.js('document.documentElement.dataset.clip')
            if name == 'sound':
                ann.until('document.querySelector("audio").ended')
            ann.until('dataset.skippable')
            ann.keys('s' if states[name] == 'broken' else 't')
            ann.until(f'dataset.shown !== "{before}"')
    finally:
        server.stop()
    assert states == {'sound': 'ready', 'photo': 'ready', 'broken': 'broken', 'gone': 'broken'}
    state, _ = open_votes(Path(links['out']))
    perceived = {state.tasks[vote.task].sample: (vote.seen, vote.heard) for vote in state.votes()}
    assert perceived == {
        'sound': ('nothing', 'sound'),
        'photo': ('picture', 'nothing'),
        'broken': ('nothing', 'nothing'),
        'gone': ('nothing', 'nothing'),
    }


def test_a_browser_without_room_for_votes_sends_them_all_the_same(ann, server):
    ann.join('Room')
    first = ann.shown
    ann.js('void (Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); })')
    ann.choose()
    assert ann.shown != first
    assert len(_votes(server, 'Room')) == 1


def test_what_is_no_vote_in_the_browser_is_taken_away(ann, server):
    ann.join('Odd')
    for number, text in enumerate(('{', 'null', '7', '[]')):
        ann.browser.execute_script(
            'localStorage.setItem(`affekt vote ${JSON.stringify("Odd")} ${arguments[0]}`, arguments[1])', number, text
        )
    ann.browser.refresh()
    ann.until('dataset.open')
    assert ann.section == 'work'
