"""Detection of recognized words that were not understood, or that the recognizer invented.

Whisper produces text for any audio. Its own statistics distinguish three cases:

1. *Phantoms*: text for audio without speech, loops, and the closing lines of the videos in its training data ("Thanks
   for watching"). They are dropped. A short sentence that people do say ("Thank you.") is a phantom only if the
   recognizer is unsure of it.
2. *Not understood*: speech in another language with an English-only recognizer, or too noisy. The words are kept and
   shown, but not used. A turn counts as not understood if the mean confidence of its words is below
   `Trust.lowest_confidence`; if most of a recording's recognized time is like this, so do its other turns, unless
   their confidence is high (`Trust.sure_confidence`).
3. *Understood*: the rest.

`measurements/words_understood.py` chooses the thresholds and measures both types of errors on clean, noisy and
spontaneous English and on other languages.
"""

from __future__ import annotations

import dataclasses
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.text.utterances import Utterance

NOT_READ: Mapping[str, str] = {
    'not understood': 'the recognizer did not understand the speech; its words are not read',
    'phantom': 'the recognizer invented the words; they are dropped',
    'language': 'no model here reads this language; its words are shown and not read',
}
"""Reason for not using the words of an utterance, to its sentence."""

LOOP_COMPRESSION = 2.4
"""Ratio of compression by zlib above which a text is repetitive (Radford et al. 2022, section 4.5)."""


@dataclass(frozen=True)
class Trust:
    """Thresholds for trusting recognized words.

    Attributes:
        lowest_confidence: mean confidence of a turn's words below which an English-only recognizer did not understand
            it.
        lowest_confidence_of_many: the same for a multilingual recognizer, which is misled by noise only.
        sure_confidence: confidence from which a turn is trusted even in a recording that was mostly not understood.
        few_understood: share of the recognized seconds below which a recording was mostly not understood.
        lowest_log_probability: mean log-probability per token below which nothing is understood.
        doubtful_log_probability: mean log-probability per token below which the words are a phantom if the probability
            of no speech is above `no_speech`.
        no_speech: a probability in [0, 1].
        phantom_confidence: confidence below which a sentence that people say and Whisper also invents is a phantom.
        fastest_words_per_s: rate in words per second that no speaker exceeds.
    """

    lowest_confidence: float = 0.51
    lowest_confidence_of_many: float = 0.4
    sure_confidence: float = 0.8
    few_understood: float = 0.5
    lowest_log_probability: float = -1.5
    doubtful_log_probability: float = -1.0
    no_speech: float = 0.6
    phantom_confidence: float = 0.7
    fastest_words_per_s: float = 9.0


def judged(utterance: Utterance, trust: Trust | None = None) -> Utterance:
    """The utterance with the reason for not using its words, judged on its own.

    Args:
        utterance: an utterance; one from a transcript, without `recognition`, is returned unchanged.
        trust: thresholds; None for the defaults.
    """
    if utterance.recognition is None:
        return utterance
    return dataclasses.replace(utterance, reason=_reason(utterance, trust or Trust()))


def judged_together(utterances: Sequence[Utterance], trust: Trust | None = None) -> tuple[Utterance, ...]:
    """The utterances of one recording, judged also by its recognized speech as a whole.

    If less than `few_understood` of the recognized seconds was understood, the rest is not trusted either: in a
    language that the recognizer does not support, a turn occasionally looks fluent. Turns of high confidence stay.

    Args:
        utterances: utterances from `judged`, in any order; those of a given transcript are ignored.
        trust: thresholds; None for the defaults.
    """
    trust = trust or Trust()
    seconds: dict[bool, float] = {True: 0.0, False: 0.0}
    for utterance in utterances:
        if utterance.recognition is not None and utterance.reason in ('', 'not understood'):
            seconds[not utterance.reason] += max(0.0, utterance.end_s - utterance.start_s)
    if not seconds[False] or seconds[True] >= trust.few_understood * sum(seconds.values()):
        return tuple(utterances)
    return tuple(
        dataclasses.replace(utterance, reason='not understood')
        if utterance.recognition is not None and not utterance.reason and _is_doubtful(utterance, trust)
        else utterance
        for utterance in utterances
    )


def confidence(utterance: Utterance) -> float:
    """Mean confidence of the words; nan if none is stated."""
    confidences = [word.confidence for word in utterance.words if math.isfinite(word.confidence)]
    return float(np.mean(confidences)) if confidences else math.nan


def compression(text: str) -> float:
    """Ratio of compression by zlib; 1.0 for an empty text. Above 2.4 the text is repetitive."""
    content = text.encode()
    return len(content) / len(zlib.compress(content)) if content else 1.0


_CLOSING_LINES = re.compile(
    r'thank(s| you)( all| guys)?( so much| very much)?( all| guys)? for (watching|viewing|tuning in)( this video)?|'
    r"((and )?(please |don't forget to ))?(like,? (and |comment,? and )?)?subscribe( to (my|our|the|this) channel)?|"
    r"(and )?(i'?ll |we'?ll )?see you (all |guys )?(in |on )(the |my |our )?next (video|episode|one)|"
    r'(subtitles|captions|captioned|transcri(bed|ption|pts?)|translat(ed|ion)|sub(bed|titled)?) (by|provided by).*|'
    r'(subtitles|captions|transcript|copyright) .{0,20}(amara|community|institute|©).*|.*amara\.org.*|'
    r'untertitel(ung)?:?( (der|des|von|im auftrag|aufgrund|bei) .*)?|vielen dank f(ü|ue)rs (zuschauen|zusehen)|'
    r"sous-titr(es|age|ages)( (réalisés?|par|fait|st|société).*)?|merci d'avoir regardé( cette vidéo)?|"
    r'subt[ií]tulos? (realizados?|por|hechos|de) .*|gracias por ver( el| este)?( v[ií]deo)?|'
    r'legendas? (pela|por|de) .*|obrigad[oa] por assistir|sottotitoli (creati|a cura|di) .*|grazie per la visione|'
    r'ondertitel(d|ing) .*|teksting av .*|undertexter (av|från) .*|'
    r'napisy (stworzone|wykonane|przygotowane|by) .*|(dziękuję|dziękujemy|dzięki) za (oglądanie|uwagę i oglądanie)|'
    r'(субтитры|редактор субтитров) .*|продолжение следует[. ]*|спасибо за просмотр|altyazı .*|'
    r'.{0,4}字幕 ?(由|by|志愿者|志願者|组|組|製作|制作|提供|:).*|.*请不吝点赞.*|'
    r'(谢谢|感谢|謝謝|感謝)(大家|您|你们)?(的)?(观看|收看|觀看)|'
    r'(最後まで)?ご視聴(いただき)?ありがとうございま(した|す)|시청해 ?주셔서 감사합니다|'
    r'www\.\S+|https?:\S+'
)
"""Closing lines of Whisper's training videos, found in no dialogue; matched against whole lower-case sentences."""
_SAID_AND_INVENTED = frozenset((
    'you', 'thank you', 'thanks', 'thank you very much', 'thank you so much', 'bye', 'bye bye', 'goodbye', 'so', 'the',
    'a', 'and', 'i', 'music', 'applause', 'laughter', 'silence', 'blank audio', 'foreign', 'inaudible',
    'thanks for listening', 'thank you for listening', 'thank you so much for listening', 'see you next time',
    'ill see you next time',
))  # fmt: skip
"""Phrases that people say and that Whisper also writes for noise, breath and music."""
_MUSICAL_NOTES = re.compile(r'[♪♫♬♩🎵🎶]')
_BRACKETED = re.compile(r'([\[(*][^\])*]*[\])*][\s.,!?-]*)+')
_ENDS_OF_CLAUSES = re.compile(r'(?<=[.!?,。！？，])\s*(?:and\s)?|\sand\s')
_LEAST_REPEATS = 4
"""Minimum number of repetitions of a phrase in a loop."""


def _reason(utterance: Utterance, trust: Trust) -> str:
    """'phantom', 'not understood', or ''."""
    recognition = utterance.recognition
    if recognition is None:
        return ''
    mean_confidence = confidence(utterance)
    if _is_phantom(utterance.text, mean_confidence, recognition.no_speech, recognition.log_probability, trust):
        return 'phantom'
    lowest = trust.lowest_confidence if recognition.is_english_only else trust.lowest_confidence_of_many
    seconds = utterance.end_s - utterance.start_s
    is_too_fast = len(utterance.text.split()) > max(2.0, trust.fastest_words_per_s * seconds)
    is_unsure = recognition.log_probability < trust.lowest_log_probability or mean_confidence < lowest
    return 'not understood' if is_too_fast or is_unsure else ''


def _is_phantom(text: str, mean_confidence: float, no_speech: float, log_probability: float, trust: Trust) -> bool:
    """Whether the text was invented by the recognizer."""
    if _is_closing(text) or compression(text) > LOOP_COMPRESSION or is_loop(text):
        return True
    if _MUSICAL_NOTES.search(text) or _BRACKETED.fullmatch(text.strip()):
        return True
    if log_probability < trust.doubtful_log_probability and no_speech > trust.no_speech:
        return True
    is_doubtful = mean_confidence < trust.phantom_confidence or no_speech > trust.no_speech
    return is_doubtful and _bare(text) in _SAID_AND_INVENTED


def _is_closing(text: str) -> bool:
    """Whether the text consists of closing lines of a video, with other stock phrases at most."""
    if _CLOSING_LINES.fullmatch(_plain(text)):
        return True
    clauses = [clause for clause in _ENDS_OF_CLAUSES.split(text) if _bare(clause)]
    closing = [clause for clause in clauses if _CLOSING_LINES.fullmatch(_plain(clause))]
    return bool(closing) and all(clause in closing or _bare(clause) in _SAID_AND_INVENTED for clause in clauses)


def _plain(text: str) -> str:
    """Lower-case text without the marks that accompany closing lines."""
    return re.sub(r"[^\w\s'.:/©-]", '', text.casefold()).strip(' .-')


def _bare(text: str) -> str:
    """Lower-case words alone."""
    return re.sub(r'[^\w\s]', '', text.casefold()).strip()


def is_loop(text: str) -> bool:
    """Whether the text is a phrase of two to four words at least four times in a row, or a word at least eight times.

    >>> is_loop('I know, I know, I know, I know.'), is_loop('No, no, no.')
    (True, False)
    """
    words = re.findall(r"[\w']+", text.casefold())
    for length in range(1, 5):
        repeats = len(words) // length
        if (
            repeats >= _LEAST_REPEATS * (2 if length == 1 else 1)
            and words == (words[:length] * (repeats + 1))[: len(words)]
        ):
            return True
    return False


def _is_doubtful(utterance: Utterance, trust: Trust) -> bool:
    mean_confidence = confidence(utterance)
    return not mean_confidence >= trust.sure_confidence
