"""The recipes that this installation can run without a hub: hashed words, sentence embeddings, acoustic measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError
from affekt.features.face_readings import FACES, FACES_FRAMES
from affekt.features.hashed import SIZE, hashed_texts
from affekt.features.recipes import Encoder, Features, Floats, Recipe, Unable
from affekt.features.spectra import SPECTRA
from affekt.plugins import Members, named_as
from affekt.weights import lookup

RATE_HZ = 16_000
SHORTEST_S = 0.1
"""A sound below it has no acoustic summary."""
_FRAME_COLUMNS = (
    'f0_hz', 'hnr_db', 'loudness_db', 'alpha_ratio_db', 'hammarberg_db', 'slope_low_db_khz', 'slope_mid_db_khz', 'flux',
)  # fmt: skip


def _text_encoder(recipe: Recipe, encode: Callable[[Sequence[str]], Floats], *, empty_is_zero: bool) -> Encoder:
    """An encoder of what was said; an empty text is a row of zeros, or no features."""
    column = str(recipe.facts['column'])

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        said = {row.sample: getattr(row, column) for row in samples}
        able = {name: text for name, text in said.items() if text or (text == '' and empty_is_zero)}
        rows = dict(zip(able, encode(list(able.values())), strict=True)) if able else {}
        return [
            recipe.features(name, rows[name])
            if name in rows
            else Unable(name, 'no transcript' if text is None else 'nothing was said')
            for name, text in said.items()
        ]

    return encoder


def _open_hashed(recipe: Recipe) -> Encoder:
    return _text_encoder(recipe, hashed_texts, empty_is_zero=True)


def _open_sentences(recipe: Recipe) -> Encoder:
    from affekt.text.sentences import SentenceEncoder

    return _text_encoder(recipe, SentenceEncoder().encode, empty_is_zero=False)


def _open_sentence_layers(recipe: Recipe) -> Encoder:
    from affekt.text.sentences import SentenceEncoder

    sentences = SentenceEncoder()

    def encode(texts: Sequence[str]) -> Floats:
        return sentences.layers(texts).reshape(len(texts), -1)

    return _text_encoder(recipe, encode, empty_is_zero=False)


def _sound(path: Path) -> Floats:
    """The whole sound of a file at 16 kHz."""
    from affekt.media import Recording

    blocks = [block.samples for block in Recording.open(path).samples(RATE_HZ)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def audio_encoder(encode: Callable[[str, Floats], Features | Unable]) -> Encoder:
    """An encoder of a sample's sound file, or of its film's sound; a file that cannot be read gives its error."""

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        found: list[Features | Unable] = []
        for row in samples:
            kind = 'audio' if row.audio else 'video'
            path = manifest.media(row, kind)
            if path is None:
                found.append(Unable(row.sample, 'no audio'))
                continue
            try:
                sound = _sound(path)
            except AffektError as error:
                found.append(Unable(row.sample, error.came))
                continue
            if window := manifest.window_s(row, kind):
                sound = sound[round(window[0] * RATE_HZ) : round(window[1] * RATE_HZ)]
            if len(sound) < SHORTEST_S * RATE_HZ:
                found.append(Unable(row.sample, f'{len(sound) / RATE_HZ:.2f} s of sound'))
            else:
                found.append(encode(row.sample, sound))
        return found

    return encoder


def _open_acoustics(recipe: Recipe) -> Encoder:
    from affekt.voice import acoustic_summary

    def encode(sample: str, sound: Floats) -> Features | Unable:
        row = acoustic_summary(sound)[:-1]  # the last column counts words, which are not known here
        if np.isnan(row).any():
            lost = [name for name, value in zip(recipe.columns, row, strict=True) if np.isnan(value)]
            return Unable(sample, f'no voice to measure ({len(lost)} of {len(row)} columns)')
        return recipe.features(sample, row)

    return audio_encoder(encode)


def _open_acoustic_frames(recipe: Recipe) -> Encoder:
    from affekt.voice import acoustic_frames

    def encode(sample: str, sound: Floats) -> Features | Unable:
        frames = acoustic_frames(sound)
        rows = np.stack([getattr(frames, name) for name in _FRAME_COLUMNS], axis=1)
        # A frame without voice has no pitch: 0 with a column that says so, never nan.
        voiced = frames.voiced.astype(np.float32)[:, None]
        values = np.concatenate([np.nan_to_num(rows, nan=0.0), voiced], axis=1)
        return recipe.features(sample, values, frames.time_s.astype(np.float64))

    return audio_encoder(encode)


def _acoustic_columns() -> tuple[str, ...]:
    from affekt.voice.acoustics import COLUMNS

    return COLUMNS[:-1]


_MINILM_FACTS = {
    'model': 'minilm-l6-int8.onnx',
    'sha256': lookup('minilm-l6-int8.onnx').sha256,
    'tokenizer_sha256': lookup('minilm-tokenizer.json').sha256,
    'column': 'text',
    'longest': '256 word pieces',
}


def _other_names() -> list[str]:
    """Names that recipes of encoders answer to."""
    from affekt.features.listing import listed_recipes

    names = [name for row in listed_recipes(added=False) if row.kind != 'own' for name in row.names]
    return [*names, *(name.removesuffix('-utt') for name in names)]


HASH512 = Recipe(
    'hash512', 'text', SIZE,
    {'tool': 'affekt hashed words', 'version': 1, 'column': 'text', 'pooling': 'signed sum, length 1'},
    _open_hashed, batch=512,
)  # fmt: skip
MINILM = Recipe(
    'minilm-utt', 'text', 384, {**_MINILM_FACTS, 'layer': 'last', 'pooling': 'mean over word pieces, length 1'},
    _open_sentences, batch=128,
)  # fmt: skip
MINILM_LAYERS = Recipe(
    'minilm-layers-utt', 'text', 7 * 384,
    {**_MINILM_FACTS, 'layer': 'word embeddings and all six', 'pooling': 'mean over word pieces of each'},
    _open_sentence_layers, batch=128,
)  # fmt: skip
ACOUSTICS = Recipe(
    'acoustics-utt', 'audio', len(_acoustic_columns()),
    {'tool': 'affekt.voice acoustic_summary', 'version': 1, 'rate_hz': RATE_HZ, 'pooling': 'functionals of the whole'},
    _open_acoustics, columns=_acoustic_columns(), batch=8,
)  # fmt: skip
ACOUSTIC_FRAMES = Recipe(
    'acoustics-frm', 'audio', len(_FRAME_COLUMNS) + 1,
    {'tool': 'affekt.voice acoustic_frames', 'version': 1, 'rate_hz': RATE_HZ, 'hop_s': 0.01, 'pooling': 'none'},
    _open_acoustic_frames, columns=(*_FRAME_COLUMNS, 'voiced'), batch=8,
)  # fmt: skip

OWN = (HASH512, MINILM, MINILM_LAYERS, ACOUSTICS, ACOUSTIC_FRAMES, *SPECTRA, FACES, FACES_FRAMES)
RECIPES: Members[Recipe] = Members(
    'recipes', {recipe.name: recipe for recipe in OWN}, named_as(Recipe), taken=_other_names
)
"""Name to recipe; other packages add theirs as `affekt.recipes`."""
