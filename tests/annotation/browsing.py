"""A headless Chromium and a running `affekt annotate`, for tests."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from affekt.media.synthetic import numbered_images
from affekt.media.writing import MediaWriter

FLAGS = (
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update', '--autoplay-policy=no-user-gesture-required',
    '--mute-audio', '--window-size=1280,900',
)  # fmt: skip

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
  const [poor, walker] = [[], document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT)];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const box = node.parentElement;
    const held = box.closest('button, option, svg');
    if (!node.textContent.trim() || !box.checkVisibility({ visibilityProperty: true })) continue;
    if (held && (held.disabled || held.tagName === 'OPTION')) continue;
    let [back, colour] = [ground(box), getComputedStyle(box).color];
    if (box instanceof SVGElement) {
      colour = getComputedStyle(box).fill;
      const rect = box.previousElementSibling;
      if (rect && rect.tagName === 'rect') {
        const fill = parse(getComputedStyle(rect).fill);
        back = over([...fill.slice(0, 3), Number(rect.getAttribute('fill-opacity'))], back);
      }
    }
    const [a, b] = [light(over(parse(colour), back)), light(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([node.textContent.trim().slice(0, 30), Math.round(ratio * 100) / 100]);
  }
  return poor;
})()"""


def chromium(profile: Path):
    """A browser with a profile of its own; the test skips where there is none."""
    webdriver = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
    program = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    driver = shutil.which('chromedriver')
    if program is None or driver is None:
        pytest.skip('no Chromium with its driver on this machine')
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f'--user-data-dir={profile}'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def write_study(folder: Path, clips: int = 6, gold: int = 4) -> list[str]:
    """Clips, pairs and gold; returns the words of a command line."""
    media = folder / 'clips'
    media.mkdir()
    for clip in range(max(clips, gold)):
        with MediaWriter(media / f'clip{clip}.mp4', 10.0) as writer:
            for number, image in enumerate(numbered_images(8, 160, 120)):
                writer.add_picture(image, number / 10)
    pairs = (('ash', 'birch'), ('birch', 'cedar'), ('cedar', 'ash'))
    _table(
        folder / 'pairs.csv',
        'name left right left_text right_text',
        [
            [f'clip{c}', a, b, f'{a} says {c} <b>&amp;', f'{b} says {c} <b>&amp;']
            for c in range(clips)
            for a, b in pairs
        ],
    )
    _table(
        folder / 'gold.csv',
        'name left right left_text right_text outcome',
        [[f'clip{c}', 'known', 'wrong', f'true {c}', f'false {c}', 'left'] for c in range(gold)],
    )
    return [
        str(folder / 'pairs.csv'), '--media', str(media), '--gold', str(folder / 'gold.csv'), '--test-items', '3',
        '--out', str(folder / 'votes'), '--json',
    ]  # fmt: skip


def _table(path: Path, head: str, rows: list[list[str]]) -> None:
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([head.split(), *rows])


class Server:
    """`affekt annotate` as a process."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self.process: subprocess.Popen | None = None
        self.links: dict = {}

    def start(self, *more: str) -> dict:
        """Serve; returns the links."""
        command = [sys.executable, '-m', 'affekt.cli', 'annotate', *self._words, *more]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.links = json.loads(line)
        return self.links

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the process; returns its exit code."""
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.send_signal(how)
        self.process.communicate()
        return self.process.returncode


def covered_by_choices(js) -> list:
    """What the choices cover at the end of the page or where the keyboard reaches it; and whether they are too tall."""
    return js("""(() => {
        const found = [], bar = () => document.querySelector('.choices').getBoundingClientRect();
        if (getComputedStyle(document.querySelector('.choices')).position !== 'static'
            && bar().height > innerHeight / 3) found.push('a third of the screen');
        window.scrollTo(0, 1e6);
        for (const node of document.querySelectorAll('#work > :not(.choices)'))
          if (node.checkVisibility() && node.getBoundingClientRect().bottom > bar().top + 1) found.push(node.className);
        for (const node of document.querySelectorAll('#work button, #work input, #work select, #work [tabindex="0"]')) {
          if (node.disabled || node.closest('.choices') || !node.checkVisibility()) continue;
          window.scrollTo(0, 0);
          node.focus();
          const box = node.getBoundingClientRect();
          if (Math.min(box.bottom, box.top + 40) > bar().top + 1 && box.top < bar().bottom) found.push(node.outerHTML);
        }
        return found;
    })()""")


__all__ = ['CONTRASTS', 'Server', 'chromium', 'covered_by_choices', 'write_study']
