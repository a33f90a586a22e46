"""Which models an analysis uses: their files, licences and cards, and the reliability of each source."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from affekt.analysis.observations import Trust
from affekt.analysis.records import ModelUse
from affekt.analysis.settings import AnalysisSettings
from affekt.labels import EKMAN
from affekt.weights import MODELS, PACKAGED

IDENTITY, SPEAKERS = 'face-identity', 'speaker-identity.pt'
FOREIGN_TEXT, SENTENCES = 'textual_emotion_multilingual', 'use-multilingual-3'
FACE, VOICE_TINY, VOICE_BASE, TEXT = 'face_expression', 'vocal_emotion_tiny_en', 'vocal_emotion_base', 'textual_emotion'
WHISPER = {'tiny.en': 'whisper-tiny.en', 'base': 'whisper-base'}

CARRIED_OVER: Mapping[str, Trust] = {
    'face': Trust(0.95, valence=0.95, arousal=0.5, valence_bias_sd=0.13, arousal_bias_sd=0.14),
    'voice': Trust(1.0, valence=0.9, arousal=0.65, valence_bias_sd=0.19, arousal_bias_sd=0.16),
    'words': Trust(0.65, valence=0.2, arousal=0.1, valence_bias_sd=0.22, arousal_bias_sd=0.28),
}
"""How reliable each source is outside its training data, unless its card says so under 'carries_over'.

From `measurements/fusion_weights.py`, which leaves one corpus out. Categories: the exponents with the lowest log loss
on left-out corpora; any further discount belongs in the model's temperature. Valence and arousal: the precision
implied by the correlation with the coordinates of the true categories, over the precision that the readings state; the
biases are root mean squares, over categories and speakers, of the mean error. The face corpus does not identify
people, so the variation between people is taken from the voices. Arousal is compared with coordinates of categories,
which do not distinguish calm from heated anger; this favours faces, whose arousal is derived from categories, so their
value is halved."""
WRITTEN_RELIABILITY = 0.35
"""Reliability of words read as written comments: the exponent with the lowest log loss on MELD's development part."""
PROTOTYPE_TRUST = Trust(0.4, valence_bias_sd=0.3, arousal_bias_sd=0.3)
"""Trust in blendshape prototypes, which are neither fitted nor calibrated."""


TRAINED_ON: Mapping[str, Mapping[str, float]] = {
    FACE: {
        'anger': 0.139, 'disgust': 0.015, 'fear': 0.143, 'happiness': 0.251, 'sadness': 0.168, 'surprise': 0.110,
        'neutral': 0.173,
    },
    VOICE_TINY: dict.fromkeys(EKMAN, 1 / 7),
    VOICE_BASE: dict.fromkeys(EKMAN, 1 / 7),
    TEXT: {
        'anger': 0.109, 'disgust': 0.013, 'fear': 0.014, 'happiness': 0.385, 'sadness': 0.059, 'surprise': 0.098,
        'neutral': 0.324,
    },
}  # fmt: skip
"""Class frequencies of the training data, for a card that states none under 'prior': FER2013's 28,709 training
faces; equal ones for voices, whose labels have equal weight in the loss; GoEmotions' 39,555 training comments with one
Ekman category."""


def models_needed(settings: AnalysisSettings) -> tuple[str, ...]:
    """Names of the files that `affekt.weights` must have before an analysis with these settings can run."""
    names = ['face_landmarker.task', 'silero_vad.onnx', 'minilm-l6-int8.onnx', 'minilm-tokenizer.json']
    if settings.asr in WHISPER:
        names.append(WHISPER[settings.asr])
    elif settings.asr == 'none' and settings.license != 'commercial-ok':
        names.append(WHISPER['tiny.en'])
    return tuple(name for name in names if name in MODELS)


def models_wanted(settings: AnalysisSettings) -> tuple[str, ...]:
    """Names of the files that improve an analysis with these settings, but that it can do without if no source has
    them. The file for words of other languages is downloaded when such words first occur."""
    allowed = (MODELS[name] for name in (IDENTITY, SPEAKERS) if name in MODELS)
    return tuple(model.name for model in allowed if settings.license == 'research' or model.commercial_ok)


def reads_foreign(settings: AnalysisSettings) -> bool:
    """Whether the licence setting allows models for words in languages other than English."""
    return packaged(FOREIGN_TEXT) and _allowed(FOREIGN_TEXT, settings)


def register_of(settings: AnalysisSettings) -> Literal['dialogue', 'written']:
    """How words are read: as speech, or without what was learned from MELD, the lines of a television
    series."""
    return 'dialogue' if settings.license == 'research' else 'written'


def licence_notes(settings: AnalysisSettings, *, saw: bool, heard: bool, read: bool = False) -> list[str]:
    """Sentences on the models that the licence setting leaves out, for faces, voices and words that are present.

    Empty if no model is left out.
    """
    notes = []
    if saw and not _allowed(FACE, settings):
        notes.append(
            'the trained model of expressions was left out by the licence setting; prototypes over the movements of '
            'the face, which are less often right, stand in for it'
        )
    if heard and settings.license != 'research' and not voice_head(settings):
        notes.append(
            'the model of vocal emotion was left out by the licence setting: of voices only acoustics and arousal are '
            'read'
        )
    if read and register_of(settings) == 'written':
        notes.append(
            'what was learned from spoken lines was left out by the licence setting: words are read as written '
            'comments are, which names more and is right less often'
        )
    return notes


def encoder_of(settings: AnalysisSettings) -> str:
    """The Whisper model whose encoder reads the voice: that of the recognition, or 'tiny.en' without one."""
    return settings.asr if settings.asr != 'none' else 'tiny.en'


def voice_head(settings: AnalysisSettings) -> str:
    """The name of the vocal emotion model that fits the encoder; '' if there is none or its licence forbids it."""
    head = {'tiny.en': VOICE_TINY, 'base': VOICE_BASE}.get(encoder_of(settings), '')
    if not head or not (PACKAGED / f'{head}.json').is_file():
        return ''
    return head if _allowed(head, settings) else ''


def trust_of(settings: AnalysisSettings) -> dict[str, Trust]:
    """The trust in each source's model."""
    trust = {'words': _trust('words', TEXT)}
    if register_of(settings) == 'written':
        trust['words'] = dataclasses.replace(
            trust['words'], reliability=WRITTEN_RELIABILITY, prior=softened(TRAINED_ON[TEXT])
        )
    trust['face'] = _trust('face', FACE) if settings.license == 'research' else PROTOTYPE_TRUST
    head = voice_head(settings)
    trust['voice'] = _trust('voice', head) if head else CARRIED_OVER['voice']  # arousal needs no head
    return trust


def models_used(
    settings: AnalysisSettings,
    *,
    saw: bool,
    heard: bool,
    read: bool,
    recognized: bool,
    foreign: bool = False,
    joined: bool = False,
    told_apart: bool = False,
) -> tuple[ModelUse, ...]:
    """The models that took part in an analysis.

    Args:
        settings: settings of the analysis.
        saw: whether frames were analyzed.
        heard: whether audio was analyzed.
        read: whether words were read.
        recognized: whether the words were recognized from speech.
        foreign: whether words of other languages than English were read.
        joined: whether faces were compared for identity.
        told_apart: whether voices were compared for identity.
    """
    used = []
    if saw:
        used.append(_third_party('face_landmarker.task'))
        if settings.license == 'research':
            used.append(_trained(FACE, 'expression of the face'))
        if joined:
            used.append(_third_party(IDENTITY))
    if told_apart:
        used.append(_third_party(SPEAKERS))
    if heard:
        used.append(_third_party('silero_vad.onnx'))
        head, encoder = voice_head(settings), WHISPER.get(encoder_of(settings), '')
        if encoder and (head or recognized):
            used.append(_third_party(encoder))
        if head:
            used.append(_trained(head, 'emotion of the voice'))
    if read:
        used += [_third_party('minilm-l6-int8.onnx'), _trained(TEXT, 'emotion of the words')]
    if foreign:
        used += [_third_party(SENTENCES), _trained(FOREIGN_TEXT, 'emotion of words in other languages')]
    return tuple(use for use in used if use is not None)


def card_of(name: str) -> dict[str, Any]:
    """The packaged card of a model; empty if it has none."""
    path = PACKAGED / f'{name}.json'
    if not path.is_file():
        return {}
    card: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    return card


def _trust(source: str, name: str) -> Trust:
    """Trust with the card's 'carries_over', in [0, 1], if it has one."""
    card = card_of(name)
    stated = card.get('carries_over')
    is_share = isinstance(stated, (int, float)) and 0 <= stated <= 1
    default = CARRIED_OVER[source]
    reliability = float(stated) if is_share else default.reliability  # type: ignore[arg-type]
    return dataclasses.replace(default, reliability=reliability, prior=_prior(name, card))


def _prior(name: str, card: Mapping[str, Any]) -> dict[str, float]:
    """The prior of a model's probabilities: the class frequencies that its card reports, or
    the softened ones of its training data."""
    reported: Any = card.get('reported_prior')
    if _is_complete(reported):
        return {category: float(reported[category]) for category in EKMAN}
    stated: Any = card.get('prior')
    return softened(stated if _is_complete(stated) else TRAINED_ON[name])


def _is_complete(shares: Any) -> bool:
    return isinstance(shares, Mapping) and all(category in shares for category in EKMAN)


def softened(shares: Mapping[str, float]) -> dict[str, float]:
    """Class frequencies half way to uniform: a model follows its training frequencies only in part, and dividing by a
    rare category's whole frequency would inflate it.

    Args:
        shares: EKMAN category to its share.
    """
    return {category: 0.5 * float(shares[category]) + 0.5 / len(EKMAN) for category in EKMAN}


def _third_party(name: str) -> ModelUse | None:
    model = MODELS.get(name)
    return None if model is None else ModelUse(model.name, model.role, model.licence, model.sha256)


def _trained(name: str, role: str) -> ModelUse | None:
    card = card_of(name)
    files = sorted(path for path in PACKAGED.glob(f'{name}.*') if path.suffix in ('.onnx', '.npz', '.safetensors'))
    if not files:
        return None
    digest = str(card.get('sha256') or hashlib.sha256(files[0].read_bytes()).hexdigest())
    return ModelUse(name, role, str(card.get('licence', 'see the card')), digest, card)


def _allowed(name: str, settings: AnalysisSettings) -> bool:
    """Whether the licence setting allows a trained model."""
    return settings.license == 'research' or bool(card_of(name).get('commercial_ok'))


def packaged(name: str) -> bool:
    """Whether the package holds a model of this name."""
    return any((Path(PACKAGED) / f'{name}{suffix}').is_file() for suffix in ('.onnx', '.npz', '.safetensors'))
