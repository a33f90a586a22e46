"""The report in a real browser: it plays, seeks, tells, lights and zooms, in silence towards the network."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from made_up import made_up

from affekt.analysis.phrases import when
from affekt.analysis.records import Lost
from affekt.media.synthetic import numbered_images
from affekt.media.writing import MediaWriter
from affekt.report.report import render_report
from affekt.wording import clock, opened

webdriver = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

pytestmark = pytest.mark.browser

FLAGS = (
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update', '--autoplay-policy=no-user-gesture-required',
    '--mute-audio', '--window-size=1280,900',
)  # fmt: skip
HOSTILE = '</script><img src=x onerror="document.title=1">'
VARIANTS = {
    'two': {}, 'no_frames': {'keep_frames': False}, 'sound': {'kind': 'audio'},
    'image': {'kind': 'image', 'duration_s': 0.0, 'people': 1}, 'nothing': {'people': 0}, 'no_face': {'sees': False},
    'no_voice': {'hears': False}, 'no_words': {'reads': False}, 'hostile': {'hostile': HOSTILE},
    'no_image': {'kind': 'image', 'duration_s': 0.0, 'people': 0}, 'short': {'duration_s': 0.4, 'people': 1},
    'long': {'duration_s': 900.0, 'people': 3},
}  # fmt: skip


@pytest.fixture(scope='module')
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    program = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    driver = shutil.which('chromedriver')
    if program is None or driver is None:
        pytest.skip('no Chromium with its driver on this machine')
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f'--user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.execute_cdp_cmd('Network.enable', {})
    yield chrome
    chrome.quit()


@pytest.fixture(scope='module')
def page_of(tmp_path_factory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp('reports')

    def path(name: str) -> Path:
        out = folder / f'{name}.html'
        return out if out.exists() else render_report(made_up(**VARIANTS[name]), out)

    return path


class Page:
    """An open report and what a person does with it."""

    def __init__(self, browser: webdriver.Chrome, path: Path, width: int = 1280, *, dark: bool = False) -> None:
        self.browser = browser
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
        self.call('Emulation.setEmulatedMedia', features=[scheme])
        browser.get(path.as_uri())
        assert self.js('document.documentElement.dataset.ready') == 'yes'

    def call(self, command: str, **parameters: object) -> dict:
        return self.browser.execute_cdp_cmd(command, parameters)

    def js(self, expression: str, *arguments: object) -> object:
        return self.browser.execute_script(f'return {expression}', *arguments)

    def one(self, selector: str):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys: str) -> None:
        ActionChains(self.browser, duration=0).send_keys(*keys).perform()

    def until(self, expression: str) -> None:
        WebDriverWait(self.browser, 10, poll_frequency=0.05).until(lambda _: self.js(expression))

    @property
    def time(self) -> float:
        return float(self.js('document.querySelector(".lanes-ruler").getAttribute("aria-valuenow")'))

    @property
    def view(self) -> tuple[float, float]:
        start, end = str(self.js('document.querySelector(".lanes-plot").dataset.view || "0 24"')).split()
        return float(start), float(end)

    def over(self, selector: str, x: float, y: float) -> ActionChains:
        """The mouse over a place in an element, as shares of its width and height."""
        element = self.one(selector)
        self.browser.execute_script('arguments[0].scrollIntoView({block: "center", behavior: "instant"})', element)
        width, height = element.size['width'], element.size['height']
        shift = (int((x - 0.5) * width), int((y - 0.5) * height))
        return ActionChains(self.browser, duration=0).move_to_element_with_offset(element, *shift)


@pytest.fixture
def two(browser, page_of) -> Page:
    return Page(browser, page_of('two'))


# ---- every kind of recording


@pytest.mark.parametrize('name', VARIANTS)
def test_it_opens_without_errors_requests_or_sideways_scrolling(browser, page_of, name):
    browser.get_log('performance')
    browser.get_log('browser')
    for width in (390, 1440):
        page = Page(browser, page_of(name), width)
        assert page.js('document.documentElement.scrollWidth') <= width
        assert page.js('document.querySelector("h1").textContent.length') > 10
    assert [entry for entry in browser.get_log('browser') if entry['level'] in ('SEVERE', 'WARNING')] == []
    events = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    sent = [event['params']['request']['url'] for event in events if event['method'] == 'Network.requestWillBeSent']
    assert sent
    assert [url for url in sent if not url.startswith(('file:', 'data:', 'blob:'))] == []


def test_hostile_names_are_shown_as_text(browser, page_of):
    page = Page(browser, page_of('hostile'))
    assert HOSTILE in page.one('.file').text
    assert page.js('document.querySelectorAll("img[onerror], main script").length') == 0
    assert page.browser.title.startswith('family dinner</script>')


def test_nothing_moves_after_it_is_drawn(two):
    shifts = two.browser.execute_async_script(
        'const done = arguments[0]; let sum = 0;'
        'new PerformanceObserver((list) => { for (const e of list.getEntries()) sum += e.value; })'
        '.observe({type: "layout-shift", buffered: true}); setTimeout(() => done(sum), 50)'
    )
    assert shifts < 0.01


# ---- the clock


def test_play_moves_the_cursor_and_space_stops_it(two):
    two.one('.play').click()
    two.until('Number(document.querySelector(".lanes-ruler").getAttribute("aria-valuenow")) > 0.2')
    assert two.one('.play').get_attribute('aria-label') == 'Pause'
    two.js('document.activeElement.blur()')
    two.keys(Keys.SPACE)
    assert two.one('.play').get_attribute('aria-label') == 'Play'
    moved = two.js('document.querySelector(".lanes-cursor").style.transform')
    assert moved != 'translateX(132px)'


def test_arrows_step_a_second_and_with_shift_five(two):
    two.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert two.time == pytest.approx(2.0)
    ActionChains(two.browser).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    assert two.time == pytest.approx(7.0)
    two.keys(Keys.ARROW_LEFT)
    assert two.time == pytest.approx(6.0)


def test_digits_lead_to_moments(two):
    times = [moment.time_s for moment in made_up().moments]
    for digit in (3, 1, 4):
        two.keys(str(digit))
        assert two.time == pytest.approx(times[digit - 1], abs=0.051)
    two.keys('9')
    assert two.time == pytest.approx(times[3], abs=0.051)


def test_a_click_in_a_lane_seeks(two):
    two.over('.lanes-group canvas', 0.25, 0.1).click().perform()
    assert two.time == pytest.approx(6.0, abs=0.1)


def test_the_reading_follows_the_clock(two):
    two.over('.lanes-group canvas', 0.02, 0.1).click().perform()
    before = two.one('.reading').text
    two.over('.lanes-group canvas', 0.9, 0.1).click().perform()
    assert two.one('.reading').text != before
    two.over('.lanes-group canvas', 0.58, 0.1).click().perform()
    assert 'missing data' in two.one('.state').text


def test_another_person_can_be_followed(two):
    chips = two.browser.find_elements(By.CSS_SELECTOR, '.chip')
    chips[1].click()
    assert [chip.get_attribute('aria-pressed') for chip in chips] == ['false', 'true']


# ---- lanes


def test_hovering_a_lane_tells_its_reading(two):
    two.over('.lanes-group canvas', 0.2, 0.05).perform()
    tip = two.one('.tooltip')
    assert tip.is_displayed()
    assert 'Together' in tip.text
    assert '%' in tip.text
    assert 'valence' in tip.text
    two.over('.lanes-group canvas', 0.58, 0.05).perform()
    assert 'nothing measured' in two.one('.tooltip').text


def test_a_drag_zooms_and_a_double_click_resets(two):
    two.over('.lanes-group canvas', 0.25, 0.5).click_and_hold().move_by_offset(150, 0).move_by_offset(
        130, 0
    ).release().perform()
    start, end = two.view
    assert start == pytest.approx(6.0, abs=0.1)
    assert 3 < end - start < 12
    assert two.time == 0.0
    two.over('.lanes-group canvas', 0.5, 0.5).double_click().perform()
    assert two.view == (0.0, 24.0)


def test_plus_zooms_minus_widens_and_escape_resets(two):
    two.keys('+', '+')
    narrow = two.view[1] - two.view[0]
    assert narrow == pytest.approx(24 * 0.6**2, abs=0.02)
    two.keys('-')
    assert two.view[1] - two.view[0] > narrow
    two.keys(Keys.ESCAPE)
    assert two.view == (0.0, 24.0)
    assert not two.one('.lanes-tools button:last-child').is_enabled()


def test_all_seven_categories_make_the_lanes_taller(two):
    canvas = two.one('.lanes-group canvas')
    before = canvas.size['height']
    two.over('.lanes-tools button', 0.5, 0.5).click().perform()
    # Two lanes of 28 and 18 pixels become seven rows of 9 each.
    assert canvas.size['height'] == before + 2 * 63 - 28 - 18


# ---- evidence


def test_hovering_a_sentence_lights_its_evidence_and_a_click_leads_there(two):
    sentence = two.browser.find_elements(By.CSS_SELECTOR, '.sentence')[1]
    plain = two.js('document.querySelectorAll(".lanes-group canvas")[1].toDataURL()')
    ActionChains(two.browser, duration=0).move_to_element(sentence).perform()
    assert two.js('document.querySelector(".lanes-plot").dataset.lit') == '2'
    assert two.js('document.querySelectorAll(".lanes-group canvas")[1].toDataURL()') != plain
    assert 'valence' in two.one('.evidence').text
    assert len(two.browser.find_elements(By.CSS_SELECTOR, '.dock-track b')) == 2
    two.keys('5', Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    sentence.click()
    assert two.time == 0.0
    ActionChains(two.browser, duration=0).move_to_element(two.one('h1')).perform()
    assert two.js('document.querySelector(".lanes-plot").dataset.lit') == '0'


def test_a_sentence_works_from_the_keyboard(two):
    two.keys(Keys.ARROW_RIGHT)
    two.js('document.querySelector(".sentence").focus()')
    assert two.js('document.querySelector(".lanes-plot").dataset.lit') == '2'
    two.keys(Keys.ENTER)
    assert two.time == 0.0


def test_the_list_of_keys_opens_and_closes(two):
    two.keys('?')
    assert two.one('dialog').is_displayed()
    two.keys(Keys.ESCAPE)
    assert not two.one('dialog').is_displayed()


# ---- looks

CONTRASTS = """(() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (node) => {
    const chain = [];
    for (let n = node; n; n = n.parentElement) chain.push(parse(getComputedStyle(n).backgroundColor));
    return chain.reduceRight((under, top) => over(top, under), [255, 255, 255]);
  };
  document.querySelectorAll('details').forEach((one) => { one.open = true; });
  const [poor, walker] = [[], document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT)];
  let seen = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const box = node.parentElement;
    const shown = box.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!node.textContent.trim() || !shown || box.disabled) continue;
    const [a, b] = [light(over(parse(getComputedStyle(box).color), ground(box))), light(ground(box))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < 4.5) poor.push([node.textContent.trim().slice(0, 30), Math.round(ratio * 100) / 100]);
  }
  return [seen, poor];
})()"""


@pytest.mark.parametrize('dark', [False, True])
def test_all_text_has_a_contrast_of_at_least_four_and_a_half(browser, page_of, dark):
    page = Page(browser, page_of('two'), dark=dark)
    assert page.js('document.documentElement.dataset.theme') == ('dark' if dark else 'light')
    seen, poor = page.js(CONTRASTS)
    assert seen > 200
    assert poor == []


def test_the_theme_can_be_switched(two):
    ground = two.js('getComputedStyle(document.body).backgroundColor')
    two.one('#theme').click()
    assert two.js('getComputedStyle(document.body).backgroundColor') != ground


def test_every_control_has_a_name(two):
    nameless = two.js(
        '[...document.querySelectorAll("button, input, a, [role=button], [role=slider], [role=img], video")]'
        '.filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label"))).map((one) => one.outerHTML)'
    )
    assert nameless == []


def test_it_prints_in_light_colours_and_returns_to_dark(browser, page_of):
    page = Page(browser, page_of('two'), dark=True)
    assert len(page.call('Page.printToPDF')['data']) > 20_000
    assert page.js('document.documentElement.dataset.theme') == 'dark'


# ---- a recording inside


def test_an_embedded_video_plays_under_the_outline(browser, tmp_path):
    clip = tmp_path / 'clip.mp4'
    with MediaWriter(clip, 10.0) as writer:
        for number, image in enumerate(numbered_images(30, 320, 180)):
            writer.add_picture(image, number / 10)
    page = Page(browser, render_report(made_up(3.0, 1), tmp_path / 'report.html', clip))
    page.until('document.querySelector("video").readyState >= 2')
    assert str(page.js('document.querySelector("video").src')).startswith('blob:')
    page.one('.play').click()
    page.until('document.querySelector("video").currentTime > 0.2')
    assert page.time > 0
    drawn = page.js(
        '(() => { const c = document.querySelector(".stage-overlay");'
        'return c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v > 0); })()'
    )
    assert drawn is True
    assert page.browser.get_log('browser') == []


# ---- times, the same as in the terminal and the sentences


def test_moments_are_told_by_the_words_of_the_terminal(two):
    shown = two.js('[...document.querySelectorAll(".moment-time")].map((one) => one.textContent)')
    assert shown == [opened(when(moment)) for moment in made_up().moments]


def test_a_picture_is_called_one_and_lasts_no_second(browser, page_of):
    page = Page(browser, page_of('image'))
    assert page.js('document.querySelector(".head-facts").textContent').startswith('Lengthan image')
    facts = str(page.js('document.querySelector(".person .facts").textContent'))
    assert 'in the image' in facts
    assert '1.0' not in facts.split('Valence')[0]


def test_what_was_not_read_stands_in_the_head(browser, tmp_path):
    analysis = made_up()
    source = dataclasses.replace(analysis.source, lost=Lost(1234, 2.08, is_complete=False))
    page = Page(browser, render_report(dataclasses.replace(analysis, source=source), tmp_path / 'lost.html'))
    assert 'Not read1,234 bytes, 2.1 s' in str(page.js('document.querySelector(".head-facts").textContent'))


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(7.96, '0:07.9'), (7.0, '0:07.0'), (59.99, '0:59.9'), (60.3, '1:00.3'), (3661.25, '1:01:01.2')],
)
def test_the_players_clock_cuts_fractions_as_the_terminal_does(browser, seconds, text):
    browser.get('about:blank')
    script = (files('affekt.report') / 'marks.js').read_text().replace('export ', '')
    body = script[script.index('const MINUS') : script.index('const UNITS')]
    assert browser.execute_script(f'{body}; return clockTime(arguments[0])', seconds) == text
    assert browser.execute_script(f'{body}; return clockTime(arguments[0], false)', seconds) == clock(seconds)
    assert browser.execute_script(f'{body}; return [signed(-0.001), plainNumber(-0.001)]') == ['0.00', '0.00']
