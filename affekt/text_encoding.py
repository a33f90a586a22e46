"""Decoding of text files, by one rule for transcripts, subtitles and tables.

1. An encoding named by the user is used. 2. A byte-order mark decides. 3. Valid UTF-8 is read as UTF-8. 4. Anything
else is decoded in each legacy encoding in which it is valid, and each reading is weighed by the probability of its
characters in a language that used this encoding. The most probable text is used if its probability is at least `SURE`
and it fits its language; otherwise the file is refused, with the nearest readings and advice. Text is never silently
misread, and characters are never replaced.

Control characters from U+0080 to U+009F in UTF-8 come from Windows text that was converted as if it were Latin-1
(older releases of MELD contain them): they are read as the punctuation marks that they stand for.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from affekt.errors import AffektError, TableError, UnknownNameError
from affekt.wording import subject
from affekt.written_languages import LANGUAGES

SURE = 0.9995
"""Least probability of the best reading; below it a file is refused."""
FEWEST_BYTES = 4
"""Minimum number of bytes outside ASCII for a decision on non-Latin text."""
MOST_UNEXPECTED = 0.08
"""Largest share of characters outside ASCII that the language of the best reading may not use."""
MOST_BYTES = 20_000
"""Maximum number of bytes by which readings are weighed; the whole file is still decoded strictly."""

_WEST = ('English', 'French', 'Spanish', 'Portuguese', 'Italian', 'German', 'Dutch', 'Swedish', 'Danish', 'Finnish',
         'Icelandic')  # fmt: skip
_CENTRE = ('Polish', 'Czech', 'Slovak', 'Hungarian', 'Croatian', 'Slovenian', 'Romanian', 'German')
_CYRILLIC = ('Russian', 'Ukrainian', 'Bulgarian', 'Serbian')
_CHINESE = ('simplified Chinese', 'traditional Chinese')
CANDIDATES: dict[str, tuple[float, tuple[str, ...]]] = {
    'cp1252': (1.0, _WEST),
    'gb18030': (1.0, _CHINESE),
    'big5hkscs': (1.0, ('traditional Chinese',)),
    'cp932': (1.0, ('Japanese',)),
    'euc_jp': (0.3, ('Japanese',)),
    'cp949': (1.0, ('Korean',)),
    'cp1251': (1.0, _CYRILLIC),
    'koi8_u': (0.3, ('Russian', 'Ukrainian', 'Bulgarian')),
    'cp866': (0.03, ('Russian', 'Bulgarian')),
    'iso8859_5': (0.1, _CYRILLIC),
    'mac_cyrillic': (1e-5, ('Russian', 'Ukrainian')),
    'cp1250': (1.0, _CENTRE),
    'iso8859_2': (0.1, _CENTRE),
    'cp852': (0.01, _CENTRE),
    'cp1253': (1.0, ('Greek',)),
    'iso8859_7': (0.1, ('Greek',)),
    'cp1254': (1.0, ('Turkish',)),
    'cp1255': (1.0, ('Hebrew',)),
    'cp1256': (1.0, ('Arabic', 'Persian')),
    'iso8859_6': (0.1, ('Arabic',)),
    'cp1257': (0.3, ('Lithuanian', 'Latvian', 'Estonian')),
    'cp874': (1.0, ('Thai',)),
    'iso8859_15': (0.03, _WEST),
    'cp850': (3e-3, _WEST),
    'mac_roman': (1e-3, _WEST),
    'utf_16_le': (0.3, tuple(LANGUAGES)),
    'utf_16_be': (0.3, tuple(LANGUAGES)),
}
"""Encodings without a byte-order mark: relative prior weight, and languages written in each."""
NAMES = {
    'gb18030': 'GB 18030 (GBK)', 'big5hkscs': 'Big5', 'cp932': 'Shift JIS', 'euc_jp': 'EUC-JP', 'cp949': 'EUC-KR',
    'koi8_u': 'KOI8-U',
}  # fmt: skip
"""Python's name of an encoding to its common name, where they differ."""
_ESCAPES = {b'\x1b$)C': 'iso2022_kr', b'\x1b$': 'iso2022_jp_2', b'~{': 'hz'}
"""Escape sequence to the encoding of 7 bits that uses it."""
_OUTSIDE_ASCII = re.compile(rb'[\x80-\xff]+')
_CONTROLS = re.compile('[\x80-\x9f]')


@dataclass(frozen=True)
class DecodedText:
    """The text of a file, with its encoding."""

    text: str
    """Without a byte-order mark; line ends are unchanged."""
    encoding: str
    """A name that Python knows, such as utf-8, utf-16 or gb18030."""
    notes: tuple[str, ...] = ()
    """Sentences on what was recognised or corrected."""


@dataclass(frozen=True)
class _Candidate:
    encoding: str
    language: str
    text: str
    log_probability: float


def decode_text(
    raw: bytes,
    name: str,
    *,
    encoding: str | None = None,
    error: type[AffektError] = TableError,
    todo: str = 'save the file as UTF-8',
) -> DecodedText:
    """Decode the bytes of a file by the rule of this module.

    Args:
        raw: all bytes of the file.
        name: name of the file in messages.
        encoding: encoding named by the user; None to recognise it.
        error: class of the error to raise.
        todo: advice in the error where the encoding is uncertain.

    Raises:
        AffektError: of class `error`: the bytes are not text, not valid in the named encoding, or of uncertain
            encoding.
    """
    if encoding is not None:
        return DecodedText(_decoded_in(raw, name, encoding, error), codecs.lookup(encoding).name)
    marked_encoding = _encoding_by_mark(raw)
    if marked_encoding in ('utf-16', 'utf-32') and len(raw) <= 4:
        raise error(
            expected='text',
            came=f'{name}, which holds only the byte-order mark of {marked_encoding.upper()}',
            todo='check the file',
        )
    if marked_encoding:
        try:
            return _cleaned(raw.decode(marked_encoding), marked_encoding, name)
        except UnicodeDecodeError as invalid:
            raise error(
                expected=f'{marked_encoding} text, as the first bytes of {name} say',
                came=f'other bytes at {invalid.start} ({invalid.reason})',
                todo=todo,
            ) from invalid
    if b'\0' not in raw:
        if escape_encoding := next(
            (codec for mark, codec in _ESCAPES.items() if mark in raw and _is_valid(raw, codec)), None
        ):
            return DecodedText(raw.decode(escape_encoding), escape_encoding, (f'{name} is read as {escape_encoding}',))
        if _is_valid(raw, 'utf-8'):
            return _cleaned(raw.decode('utf-8'), 'utf-8', name)
    return _recognised(raw, name, error, todo)


def _is_valid(raw: bytes, encoding: str) -> bool:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return encoding != 'hz' or not text.isascii()


def require_encoding(name: str) -> None:
    """Check that Python knows a text encoding of this name.

    Raises:
        UnknownNameError: it does not.
    """
    try:
        ''.encode(name)
    except LookupError as unknown:
        raise UnknownNameError(
            expected='an encoding that Python knows, such as utf-8, gb18030, big5 or cp1251',
            came=repr(name),
            todo='name one of these',
        ) from unknown


def _decoded_in(raw: bytes, name: str, encoding: str, error: type[AffektError]) -> str:
    """The text in an encoding named by the user, without a byte-order mark."""
    require_encoding(encoding)
    try:
        return raw.decode(encoding).removeprefix('\ufeff')
    except UnicodeError as invalid:
        raise error(
            expected=f'text in {encoding}',
            came=f'{name}: {invalid}',
            todo='name another encoding, or none to recognise it',
        ) from invalid


def _encoding_by_mark(raw: bytes) -> str | None:
    """The encoding given by a byte-order mark; None without one."""
    for mark, encoding in (
        (codecs.BOM_UTF32_LE, 'utf-32'), (codecs.BOM_UTF32_BE, 'utf-32'), (codecs.BOM_UTF8, 'utf-8-sig'),
        (codecs.BOM_UTF16_LE, 'utf-16'), (codecs.BOM_UTF16_BE, 'utf-16'),
    ):  # fmt: skip
        if raw.startswith(mark):
            return encoding
    return None


def _cleaned(text: str, encoding: str, name: str) -> DecodedText:
    """The text with punctuation marks of Windows in place of control characters, and a note on how many there were."""
    cleaned, count = _CONTROLS.subn(_windows_mark, text)
    note = f'{subject(count, "control character")} read as marks of Windows text (cp1252) in {name}'
    notes = (note,) if count else ()
    return DecodedText(cleaned.removeprefix('\ufeff'), encoding, notes)


def _windows_mark(control: re.Match[str]) -> str:
    """The character that the code of a control character has in cp1252; the control character itself if none."""
    return control[0].encode('latin-1').decode('cp1252', 'ignore') or control[0]


def _recognised(raw: bytes, name: str, error: type[AffektError], todo: str) -> DecodedText:
    """The most probable text; raises an error if it is uncertain."""
    ranked = [] if _is_damaged_utf_8(raw) else _ranked(raw)
    best, probability = ranked[0] if ranked else (None, 0.0)
    outside = sum(letter >= '\x80' for letter in best.text) if best else 0
    unexpected = LANGUAGES[best.language].unexpected(best.text) if best else 0
    if best is None or unexpected > MOST_UNEXPECTED * outside:
        reason = _where_utf_8_breaks(raw)
        raise error(expected='text in UTF-8, or in an encoding that can be told', came=f'{name}, {reason}', todo=todo)
    encoding = codecs.lookup(best.encoding).name
    if probability < SURE or _is_too_short(raw, best):
        nearest = ', or '.join(f'{reading.encoding} ({_sample_letters(reading.text)})' for reading, _ in ranked[:3])
        raise error(
            expected='text in UTF-8, or in an encoding that can be told',
            came=f'{name}, which is not UTF-8 and may be {nearest}',
            todo=todo,
        )
    if encoding.startswith('utf-16'):
        return _cleaned(raw.decode(encoding), encoding, name)
    encoding_name = NAMES.get(best.encoding, encoding)
    note = f'the text of {name} is not UTF-8 and is read as {encoding_name}, {best.language}'
    return DecodedText(raw.decode(encoding), encoding, (note,))


def _is_too_short(raw: bytes, best: _Candidate) -> bool:
    """Whether there are too few bytes outside ASCII for a decision."""
    if LANGUAGES[best.language].is_latin or best.encoding.startswith('utf_16'):
        return False
    return sum(map(len, _OUTSIDE_ASCII.findall(raw))) < FEWEST_BYTES


def _is_damaged_utf_8(raw: bytes) -> bool:
    """Whether at least half of the runs outside ASCII are valid UTF-8, as runs in legacy encodings hardly ever are."""
    runs = [_is_valid(run, 'utf-8') for run in _OUTSIDE_ASCII.findall(raw)]
    return bool(runs) and sum(runs) >= len(runs) / 2


def _where_utf_8_breaks(raw: bytes) -> str:
    try:
        raw.decode('utf-8')
    except UnicodeDecodeError as invalid:
        return f'which looks binary or damaged (not UTF-8 at byte {invalid.start})'
    return 'which looks binary (zero bytes)'


def _ranked(raw: bytes) -> list[tuple[_Candidate, float]]:
    """The different readings of the bytes with their probabilities, which sum to 1, the most probable first."""
    readings = [candidate for encoding in CANDIDATES for candidate in _candidates(raw, encoding)]
    readings = _by_words(readings)
    if not readings:
        return []
    highest = max(reading.log_probability for reading in readings)
    by_text: dict[str, list[_Candidate]] = {}
    for reading in readings:
        by_text.setdefault(reading.text, []).append(reading)
    weights = {
        text: max(math.exp(reading.log_probability - highest) for reading in group) for text, group in by_text.items()
    }
    total = sum(weights.values())
    best = {text: max(group, key=_preference) for text, group in by_text.items()}
    return sorted(((best[text], weight / total) for text, weight in weights.items()), key=lambda pair: -pair[1])


def _preference(reading: _Candidate) -> tuple[float, float]:
    """Sort key among readings of the same text: the first encoding, then its most probable language."""
    return -list(CANDIDATES).index(reading.encoding), reading.log_probability


def _candidates(raw: bytes, encoding: str) -> Iterator[_Candidate]:
    """One reading per language of an encoding; none where the bytes are not valid in it."""
    text = _sample(raw, encoding)
    if text is None or any(letter < ' ' and letter not in '\t\n\r\f\x0b\x1a' for letter in text):
        return
    if _CONTROLS.search(text) and not encoding.startswith('utf_16'):  # Windows punctuation, decoded as ISO
        return
    prior, languages = CANDIDATES[encoding]
    for language in languages:
        yield _Candidate(encoding, language, text, math.log(prior) + LANGUAGES[language].log_probability(text))


def _sample(raw: bytes, encoding: str) -> str | None:
    """The first MOST_BYTES bytes of lines outside ASCII, decoded; None if the whole is not valid in that encoding."""
    try:
        decoded = raw.decode(encoding)
    except UnicodeError:
        return None
    if encoding.startswith('utf_16'):
        return decoded[:MOST_BYTES]
    sample, size = [], 0
    for line in raw.split(b'\n'):
        if not line.isascii() and (size := size + len(line)) <= MOST_BYTES:
            sample.append(line)
    return b'\n'.join(sample).decode(encoding) if sample else decoded[:MOST_BYTES]


def _by_words(readings: list[_Candidate]) -> list[_Candidate]:
    """Reweigh readings in Latin script by frequent words, relative to each other only."""
    latin = [reading for reading in readings if LANGUAGES[reading.language].is_latin]
    if not latin:
        return readings
    ceiling = max(reading.log_probability for reading in latin)
    scored = [
        (reading, reading.log_probability + LANGUAGES[reading.language].log_words(reading.text)) for reading in latin
    ]
    highest = max(score for _, score in scored)
    others = [reading for reading in readings if not LANGUAGES[reading.language].is_latin]
    return others + [
        _Candidate(reading.encoding, reading.language, reading.text, ceiling + score - highest)
        for reading, score in scored
    ]


def _sample_letters(text: str) -> str:
    """The first eight decoded characters outside ASCII."""
    runs = re.findall(r'[^\x00-\x7f]+', text)
    return ''.join(runs)[:8]
