"""Tests whether images, audio and video reach a server's model, by asking what was in them.

Some servers accept a part that their model cannot use and silently drop it; the model then answers about a clip
that it never saw, and its answer does not show it. So each medium is sent in two versions with the same words, each in
two wordings, before any real question: which colour an image has, whether a tone is continuous or broken into beeps,
in which order a video shows two colours. A model that received nothing answers both versions alike.

    probe(endpoint, ('image', 'audio'))         # what arrived, as a table
    require_media(endpoint, ('video',), run)    # raises if it does not; asked once per endpoint and folder
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import LLMError, UnknownNameError, listed
from affekt.files import storage_error
from affekt.labels import without_thinking
from affekt.llm.chat import Chat, Request
from affekt.llm.clips import RATE_HZ, picture_part, sound_part, video_part
from affekt.llm.endpoint import PLAIN_WORDS, Endpoint
from affekt.llm.forms import MEDIA, MediaForm, Part, without_media
from affekt.runs import write_atomically
from affekt.wording import listed as in_words

VERSION = 'probe-2'
"""Must change with any question or medium below."""
PROBES = 'probes.json'
RECEIVED, DROPPED, UNCLEAR, REFUSED = 'received', 'dropped', 'unclear', 'refused'
COLOURS = {'red': (220, 30, 30), 'green': (30, 170, 60), 'blue': (30, 60, 220), 'yellow': (245, 220, 40)}
TONES = ('long', 'short', 'rising', 'silent')
SIDE = 224
"""Side of a probe's images in pixels: some models refuse smaller ones."""
LENGTH_S = 2.0
TONE_HZ = 660.0


@dataclass(frozen=True)
class ProbedAnswer:
    """One question of a probe."""

    right: str
    """The content of the medium."""
    answer: str
    is_right: bool


@dataclass(frozen=True)
class ProbeResult:
    """The result for one medium."""

    medium: str
    """image, audio or video."""
    state: str
    """`received`: every answer is right. `dropped`: the answers are the same for both versions. `unclear`: they differ,
    but are not all right. `refused`: the server says that it takes none."""
    answers: tuple[ProbedAnswer, ...] = ()
    refusal: str = ''
    """The server's message."""

    @property
    def sentence(self) -> str:
        """The state in a sentence."""
        right = f'{sum(each.is_right for each in self.answers)} of {len(self.answers)} answers are right'
        said = listed(dict.fromkeys(each.answer[:60] for each in self.answers), 2)
        return {
            RECEIVED: f'the model is given the {self.medium} ({right})',
            DROPPED: f'the {self.medium} is dropped in silence: different ones get the same answers, {said}',
            UNCLEAR: f'the {self.medium} changes answers, but only {right}: {said}',
            REFUSED: f'the server refuses the {self.medium}: {self.refusal}',
        }[self.state]

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {**asdict(self), 'sentence': self.sentence}


@dataclass(frozen=True)
class SoundUse:
    """Questions asked with their audio and again without it."""

    asked: int
    changed: int
    """Number of answers that the audio changes."""

    @property
    def share(self) -> float:
        """Share of answers that change; nan if nothing was asked with audio."""
        return self.changed / self.asked if self.asked else float('nan')


def probe(endpoint: Endpoint, media: Sequence[str] = MEDIA) -> list[ProbeResult]:
    """The result for each medium sent to a model.

    A text question is sent first, so that a missing server or an unknown model is an error and not a
    state. Audio is sent with an image if images or video are probed too, as in clips, unless images are refused.

    Args:
        endpoint: the server, with the media format to test.
        media: of `MEDIA`; if the server takes no video, frames are sent as images.

    Raises:
        UnknownNameError: unknown medium.
        LLMError: the server does not answer even a text question.
    """
    if unknown := [medium for medium in media if medium not in MEDIA]:
        raise UnknownNameError(
            expected=f'media among {", ".join(MEDIA)}', came=listed(unknown), todo='choose among them'
        )
    _ask(endpoint, (), PLAIN_WORDS)
    has_sight = 'image' in media or 'video' in media
    results: list[ProbeResult] = []
    for medium in (each for each in MEDIA if each in media):
        is_seen = has_sight and not any(each.medium == 'image' and each.state == REFUSED for each in results)
        results.append(_probed(endpoint, medium, is_seen))
    return results


def require_answering(chat: Chat) -> None:
    """Check that a model answers a plain question; a cached answer does not count.

    Raises:
        LLMError: it does not.
    """
    chat.ask(Request(({'role': 'user', 'content': PLAIN_WORDS},), f'{VERSION} answering', max_tokens=4))


def require_media(endpoint: Endpoint, media: Sequence[str], folder: Path | None = None) -> None:
    """Check that each medium reaches the model.

    Args:
        endpoint: the server.
        media: media to be sent.
        folder: folder of the run: media already received are not probed again.

    Raises:
        LLMError: a medium is dropped or refused, or the model cannot recognise its content.
        StorageError: the folder cannot be written.
    """
    passed = set(_passed(endpoint, folder))
    waiting = [medium for medium in media if medium not in passed]
    if not waiting:
        return
    results = probe(endpoint, waiting)
    passed |= {result.medium for result in results if result.state == RECEIVED}
    if folder is not None and passed:
        _keep(endpoint, folder, sorted(passed))
    if wrong := [result for result in results if result.state != RECEIVED]:
        raise LLMError(
            expected=f'a model that is given every {in_words(media)} that {endpoint.url} is sent',
            came='; '.join(_sentences(wrong)),
            todo=f'serve a model that takes it, name the server that runs there with --server '
            f'(now {endpoint.form.server}), or {endpoint.how_to_leave_out(result.medium for result in wrong)}',
        )


def _sentences(results: Sequence[ProbeResult]) -> list[str]:
    """The states in sentences; media that are refused in the same words share one."""
    refused: dict[str, list[str]] = {}
    for result in results:
        if result.state == REFUSED:
            refused.setdefault(result.refusal, []).append(result.medium)
    sentences = [result.sentence for result in results if result.state != REFUSED]
    return [*sentences, *(f'the server refuses the {in_words(media)}: {why}' for why, media in refused.items())]


def sound_use(chat: Chat, requests: Iterable[Request]) -> SoundUse:
    """How many answers change when the audio is left out; questions without audio are skipped.

    Raises:
        LLMError: there was no answer.
    """
    asked = changed = 0
    for request in requests:
        silent = without_media(request, 'audio')
        if silent is request:
            continue
        asked += 1
        changed += chat.ask(request).text.strip() != chat.ask(silent).text.strip()
    return SoundUse(asked, changed)


def _probed(endpoint: Endpoint, medium: str, has_sight: bool) -> ProbeResult:
    """The result of one medium: two versions under two wordings."""
    form = endpoint.form
    if medium != 'video' and not form.takes(medium):
        return ProbeResult(medium, REFUSED, refusal=f'{form.server} has no form for it')
    versions, wording, names = _QUESTIONS[medium]
    beside = (picture_part(_plain((128, 128, 128)), form),) if medium == 'audio' and has_sight else ()
    answers: list[ProbedAnswer] = []
    is_blind = True
    try:
        for order in (names, tuple(reversed(names))):
            texts = []
            for right, parts in versions(form):
                text = _ask(endpoint, (*beside, *parts), wording.format(', '.join(order)))
                answers.append(ProbedAnswer(right, text, _named(text, names) == right))
                texts.append(' '.join(text.lower().split()))
            is_blind &= len(set(texts)) == 1
    except LLMError as error:
        return ProbeResult(medium, REFUSED, tuple(answers), error.came)
    state = RECEIVED if all(each.is_right for each in answers) else DROPPED if is_blind else UNCLEAR
    return ProbeResult(medium, state, tuple(answers))


def _ask(endpoint: Endpoint, parts: Sequence[Part], text: str) -> str:
    """The answer without what was thought aloud."""
    content = [*parts, {'type': 'text', 'text': text}] if parts else text
    reply = endpoint.ask(Request(({'role': 'user', 'content': content},), VERSION))
    return without_thinking(reply.text).text.strip()


def _named(text: str, names: Sequence[str]) -> str:
    """The names that a text says, in order, each once in a row.

    >>> _named('First RED, then blue.', ('red', 'blue'))
    'red blue'
    """
    said = re.findall(rf'\b({"|".join(names)})\b', text.lower())
    return ' '.join(name for place, name in enumerate(said) if not place or said[place - 1] != name)


def _images(form: MediaForm) -> list[tuple[str, list[Part]]]:
    return [(name, [picture_part(_plain(COLOURS[name]), form)]) for name in ('red', 'blue')]


def _videos(form: MediaForm) -> list[tuple[str, list[Part]]]:
    return [(' '.join(order), _in_time(order, form)) for order in (('green', 'yellow'), ('yellow', 'green'))]


def _in_time(order: Sequence[str], form: MediaForm) -> list[Part]:
    """Two seconds that show one colour after the other."""
    if not form.takes('video'):
        return [picture_part(_plain(COLOURS[name]), form) for name in order]
    images = [_plain(COLOURS[name]) for name in order for _ in range(8)]
    return [video_part(images, len(images) / LENGTH_S, form)]


def _tones(form: MediaForm) -> list[tuple[str, list[Part]]]:
    return [('long', [sound_part(_tone(False), form)]), ('short', [sound_part(_tone(True), form)])]


def _plain(colour: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


@cache
def _tone(is_broken: bool) -> Floats32:
    """Two seconds of a tone, whole or as five beeps with silence between."""
    times_s = np.arange(round(LENGTH_S * RATE_HZ)) / RATE_HZ
    is_on = (times_s % 0.4 < 0.2) if is_broken else np.ones_like(times_s, bool)
    return (0.5 * np.sin(2 * np.pi * TONE_HZ * times_s) * is_on).astype(np.float32)


_Versions = Callable[[MediaForm], list[tuple[str, list[Part]]]]
_QUESTIONS: dict[str, tuple[_Versions, str, tuple[str, ...]]] = {
    'image': (
        _images,
        'Which colour fills this image? Answer with one word of these: {}.',
        tuple(COLOURS),
    ),
    'video': (
        _videos,
        'This clip shows one colour and then another. Answer with the two words of these that name them, in the order '
        'in which they are shown: {}.',
        tuple(COLOURS),
    ),
    'audio': (
        _tones,
        'Listen: is this one long tone, several short beeps, a rising tone, or is it silent? Answer with one word of '
        'these: {}.',
        TONES,
    ),
}


def _key(endpoint: Endpoint) -> str:
    return f'{VERSION} {endpoint.form.server} {endpoint.url} {endpoint.model}'


def _passed(endpoint: Endpoint, folder: Path | None) -> list[str]:
    """The media that have come through before; none where the note is damaged."""
    try:
        noted = json.loads((folder / PROBES).read_text()) if folder is not None else {}
        return [medium for medium in noted.get(_key(endpoint), []) if medium in MEDIA]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def _keep(endpoint: Endpoint, folder: Path, media: Sequence[str]) -> None:
    """Note what has come through; only that, so that a server that is put right is asked again."""
    try:
        noted = json.loads((folder / PROBES).read_text())
        noted = noted if isinstance(noted, dict) else {}
    except (OSError, ValueError):
        noted = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    write_atomically(folder / PROBES, json.dumps({**noted, _key(endpoint): list(media)}, indent=2).encode())
