"""Input of encoders from a sample (text, audio at 16 kHz, images of a face), and features from their output.

The functions here make a `SampleEncoder`, as recipes open it, from anything that turns one text, audio or sequence of
images into rows: an `Encoder`, or plain measures.

Axes: S samples of audio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.clips import Clip, ClipSettings, sample_clip, sources_of
from affekt.containers import DecodeReport
from affekt.corpora import Manifest, Sample
from affekt.encoders import Encoded, Encoder, Pictures, clips_of
from affekt.errors import AffektError
from affekt.features.face_pictures import face_pictures
from affekt.features.recipes import Features, Recipe, SampleEncoder, Unable, not_whole, unreadable
from affekt.media import Recording

RATE_HZ = 16_000
SHORTEST_S = 0.1
"""Minimum duration of audio in seconds; shorter audio has no features."""


def with_encoder(recipe: Recipe, encoder: Encoder) -> SampleEncoder:
    """The sample encoder of a frozen network; rows are averaged if the recipe's level is UTT."""
    is_published = recipe.facts.get('form') == 'published'
    if (settings := clips_of(encoder)) is not None:
        return clip_encoder(recipe, settings, lambda clip: encoder.encode([clip], is_published=is_published)[0])
    if encoder.modality == 'text':
        return text_encoder(recipe, lambda texts: encoder.encode(texts, is_published=is_published))

    def of_sound(sample: str, sound: Floats32) -> Features | Unable:
        return outcome(recipe, sample, encoder.encode([sound], is_published=is_published)[0])

    def of_faces(sample: str, pictures: Pictures) -> Features | Unable:
        return outcome(recipe, sample, encoder.encode([pictures], is_published=is_published)[0])

    return audio_encoder(of_sound) if encoder.modality == 'audio' else face_encoder(of_faces)


def outcome(recipe: Recipe, sample: str, answer: Encoded | str) -> Features | Unable:
    """Rows as features of a recipe, or the reason why there are none."""
    if isinstance(answer, str):
        return Unable(sample, answer)
    is_row = recipe.facts.get('level') == 'UTT'
    rows, times = (answer.rows.mean(axis=0), None) if is_row else (answer.rows, answer.times)
    return recipe.features(sample, rows, times, answer.lacking)


def text_encoder(
    recipe: Recipe, encode: Callable[[Sequence[str]], Sequence[Encoded | str]], *, reads_nothing: bool = True
) -> SampleEncoder:
    """An encoder of text, from the column of the manifest that the recipe names.

    Args:
        recipe: recipe of the features.
        encode: function of several texts.
        reads_nothing: pass empty texts to `encode`; otherwise they have no features.
    """
    column = str(recipe.facts['column'])

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        texts = {row.sample: getattr(row, column) for row in samples}
        readable = {name: text for name, text in texts.items() if text or (text == '' and reads_nothing)}
        answers = dict(zip(readable, encode(list(readable.values())), strict=True)) if readable else {}
        return [
            outcome(recipe, name, answers.get(name, 'no transcript' if text is None else 'nothing was said'))
            for name, text in texts.items()
        ]

    return encoder


def _sound(path: Path) -> tuple[Floats32, DecodeReport]:
    """All audio of a file at 16 kHz, and what could not be read."""
    recording = Recording.open(path)
    blocks = [block.samples for block in recording.samples(RATE_HZ)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), recording.decoded


def audio_encoder(encode: Callable[[str, Floats32], Features | Unable]) -> SampleEncoder:
    """An encoder of a sample's audio file, or of its video's audio; for an unreadable file, its error is the reason."""

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        outcomes: list[Features | Unable] = []
        for row in samples:
            column = 'audio' if row.audio else 'video'
            path = manifest.media(row, column)
            if path is None:
                outcomes.append(Unable(row.sample, 'no audio'))
                continue
            try:
                sound, decoded = _sound(path)
            except AffektError as error:
                outcomes.append(unreadable(row.sample, error.came))
                continue
            window = manifest.window_s(row, column)
            if window:
                sound = sound[round(window[0] * RATE_HZ) : round(window[1] * RATE_HZ)]
            if len(sound) < SHORTEST_S * RATE_HZ:
                reason = f'{len(sound) / RATE_HZ:.2f} s of audio' if len(sound) else 'no audio'
                outcomes.append(Unable(row.sample, reason))
            else:
                damage = decoded.damage_within(window)
                outcomes.append(not_whole(encode(row.sample, sound), damage))
        return outcomes

    return encoder


def face_encoder(encode: Callable[[str, Pictures], Features | Unable]) -> SampleEncoder:
    """An encoder of a sample's faces, stored or cut out of its video; an unreadable file gives its error as reason."""
    landmarkers: list[Any] = []

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        outcomes: list[Features | Unable] = []
        for row in samples:
            if row.frames is None and not landmarkers:
                from affekt.faces import FaceLandmarker

                landmarkers.append(FaceLandmarker())
            damage: list[str] = []
            pictures = face_pictures(manifest, row, next(iter(landmarkers), None), damage)
            if isinstance(pictures, Unable):
                outcomes.append(pictures)
                continue
            try:
                outcomes.append(not_whole(encode(row.sample, pictures), damage))
            except AffektError as error:  # an image that cannot be read
                outcomes.append(unreadable(row.sample, error.came))
        return outcomes

    return encoder


def clip_encoder(recipe: Recipe, settings: ClipSettings, encode: Callable[[Clip], Encoded | str]) -> SampleEncoder:
    """An encoder of a sample's frames and audio together; a sample may lack one of them, which its features state."""
    landmarkers: list[Any] = []

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        outcomes: list[Features | Unable] = []
        for row in samples:
            if 'video' in settings.modalities and row.frames is None and row.video and not landmarkers:
                from affekt.faces import FaceLandmarker

                landmarkers.append(FaceLandmarker())
            try:
                clip = sample_clip(manifest, row, settings, *landmarkers)
                outcomes.append(not_whole(outcome(recipe, row.sample, encode(clip)), clip.damage))
            except AffektError as error:
                unable = unreadable if _names_unreadable(manifest, row, settings) else Unable
                outcomes.append(unable(row.sample, error.came))
        return outcomes

    return encoder


def _names_unreadable(manifest: Manifest, row: Sample, settings: ClipSettings) -> bool:
    """Whether a file that the row names cannot be opened, in contrast to a file without the modality."""
    try:
        for path in sources_of(manifest, row, settings):
            if not path.is_dir():
                Recording.open(path)
    except AffektError:
        return True
    return False
