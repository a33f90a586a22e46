"""Tests whether images, audio and video reach a server's model, by asking what was in them.

Some servers accept a part that their model cannot use and silently drop it; the model then answers about a clip that it
never received, and its answer does not show it. Each medium is therefore sent in two versions with the same question,
in two wordings, before any real question: which colour an image has, whether a tone is continuous or broken into beeps,
in which order a video shows two colours. A model that received nothing answers both versions alike.

    probe(endpoint, ('image', 'audio'))         # the state of each medium
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
        right = f'{sum(answer.is_right for answer in self.answers)} of {len(self.answers)} answers are right'
        texts = listed(dict.fromkeys(answer.answer[:60] for answer in self.answers), 2)
        return {
            RECEIVED: f'the model receives the {self.medium} ({right})',
            DROPPED: f'the {self.medium} is dropped silently: different ones get the same answers, {texts}',
            UNCLEAR: f'the {self.medium} changes answers, but only {right}: {texts}',
            REFUSED: f'the server refuses the {self.medium}: {self.refusal}',
        }[self.state]

    def to_dict(self) -> dict[str, object]:
        """The fields and the sentence as JSON values."""
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
    for medium in (result for result in MEDIA if result in media):
        is_seen = has_sight and not any(result.medium == 'image' and result.state == REFUSED for result in results)
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
    passed = set(_received_before(endpoint, folder))
    unprobed = [medium for medium in media if medium not in passed]
    if not unprobed:
        return
    results = probe(endpoint, unprobed)
    passed |= {result.medium for result in results if result.state == RECEIVED}
    if folder is not None and passed:
        _store_received(endpoint, folder, sorted(passed))
    if failed := [result for result in results if result.state != RECEIVED]:
        raise LLMError(
            expected=f'a model that receives every {in_words(media)} sent to {endpoint.url}',
            came='; '.join(_sentences(failed)),
            todo=f'serve a model that takes it, name the server that runs there with --server '
            f'(now {endpoint.form.server}), or {endpoint.how_to_leave_out(result.medium for result in failed)}',
        )


def _sentences(results: Sequence[ProbeResult]) -> list[str]:
    """The states in sentences; media that are refused with the same message share a sentence."""
    refused: dict[str, list[str]] = {}
    for result in results:
        if result.state == REFUSED:
            refused.setdefault(result.refusal, []).append(result.medium)
    sentences = [result.sentence for result in results if result.state != REFUSED]
    return [*sentences, *(f'the server refuses the {in_words(media)}: {reason}' for reason, media in refused.items())]


def sound_use(chat: Chat, requests: Iterable[Request]) -> SoundUse:
    """The number of answers that change without the audio; questions without audio are skipped.

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
        return ProbeResult(medium, REFUSED, refusal=f'{form.server} has no format for it')
    versions, wording, names = _QUESTIONS[medium]
    context = (picture_part(_plain((128, 128, 128)), form),) if medium == 'audio' and has_sight else ()
    answers: list[ProbedAnswer] = []
    is_blind = True
    try:
        for order in (names, tuple(reversed(names))):
            texts = []
            for right, parts in versions(form):
                text = _ask(endpoint, (*context, *parts), wording.format(', '.join(order)))
                answers.append(ProbedAnswer(right, text, _named(text, names) == right))
                texts.append(' '.join(text.lower().split()))
            is_blind &= len(set(texts)) == 1
    except LLMError as error:
        return ProbeResult(medium, REFUSED, tuple(answers), error.came)
    state = RECEIVED if all(answer.is_right for answer in answers) else DROPPED if is_blind else UNCLEAR
    return ProbeResult(medium, state, tuple(answers))


def _ask(endpoint: Endpoint, parts: Sequence[Part], text: str) -> str:
    """The answer without its visible reasoning."""
    content = [*parts, {'type': 'text', 'text': text}] if parts else text
    reply = endpoint.ask(Request(({'role': 'user', 'content': content},), VERSION))
    return without_thinking(reply.text).text.strip()


def _named(text: str, names: Sequence[str]) -> str:
    """The names in a text, in order, with repetitions in a row once.

    >>> _named('First RED, then blue.', ('red', 'blue'))
    'red blue'
    """
    mentions = re.findall(rf'\b({"|".join(names)})\b', text.lower())
    return ' '.join(name for index, name in enumerate(mentions) if not index or mentions[index - 1] != name)


def _images(form: MediaForm) -> list[tuple[str, list[Part]]]:
    return [(name, [picture_part(_plain(COLOURS[name]), form)]) for name in ('red', 'blue')]


def _videos(form: MediaForm) -> list[tuple[str, list[Part]]]:
    return [(' '.join(order), _in_time(order, form)) for order in (('green', 'yellow'), ('yellow', 'green'))]


def _in_time(order: Sequence[str], form: MediaForm) -> list[Part]:
    """Two seconds that show one colour after the other, as a video or as images."""
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
    """(N,) two seconds of a tone, continuous or as five beeps."""
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


def _received_before(endpoint: Endpoint, folder: Path | None) -> list[str]:
    """The media that this model received in an earlier probe; [] if the file is damaged."""
    try:
        stored = json.loads((folder / PROBES).read_text()) if folder is not None else {}
        return [medium for medium in stored.get(_key(endpoint), []) if medium in MEDIA]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def _store_received(endpoint: Endpoint, folder: Path, media: Sequence[str]) -> None:
    """Store the received media; others are probed again, since a server may be corrected."""
    try:
        stored = json.loads((folder / PROBES).read_text())
        stored = stored if isinstance(stored, dict) else {}
    except (OSError, ValueError):
        stored = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    write_atomically(folder / PROBES, json.dumps({**stored, _key(endpoint): list(media)}, indent=2).encode())
