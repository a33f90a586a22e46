"""How often old encodings of text are recognised, refused or taken for another, by language and number of lines.

    python measurements/text_encodings.py [--catalogues FOLDER] [--trials 25] [--out FILE.json]

The texts are messages of programs in their translations: the catalogues (.mo) of a system, of which each has its own,
so that figures move by a few points from one machine to another. A trial draws lines that are not ASCII, puts them into
a subtitle file, encodes that, and asks for its text: right is the same text, wrong any other. charset-normalizer is
asked the same. Messages are no dialogue; the letters of a language are those of its dialogue.
"""

from __future__ import annotations

import argparse
import gettext
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import charset_normalizer

from affekt.errors import TableError
from affekt.text_encoding import decode_text
from affekt.typed_json import json_file

RESULT = Path(__file__).resolve().parent / 'results' / 'text_encodings.json'
SYSTEM_CATALOGUES = Path('/usr/share/locale')
LINES = (1, 2, 5, 20)
LONGEST_LINE = 60
LANGUAGES: dict[str, tuple[str, Sequence[str]]] = {
    'simplified Chinese': ('zh_CN', ('gb18030',)),
    'traditional Chinese': ('zh_TW', ('big5',)),
    'Japanese': ('ja', ('cp932', 'euc_jp')),
    'Korean': ('ko', ('cp949',)),
    'Russian': ('ru', ('cp1251', 'koi8_r', 'cp866')),
    'Ukrainian': ('uk', ('cp1251', 'koi8_u')),
    'Bulgarian': ('bg', ('cp1251',)),
    'Serbian': ('sr', ('cp1251',)),
    'Greek': ('el', ('cp1253', 'iso8859_7')),
    'Turkish': ('tr', ('cp1254',)),
    'Hebrew': ('he', ('cp1255',)),
    'Arabic': ('ar', ('cp1256',)),
    'Persian': ('fa', ('cp1256',)),
    'Thai': ('th', ('cp874',)),
    'German': ('de', ('cp1252', 'cp850')),
    'French': ('fr', ('cp1252', 'mac_roman')),
    'Spanish': ('es', ('cp1252',)),
    'Portuguese': ('pt_BR', ('cp1252',)),
    'Italian': ('it', ('cp1252',)),
    'Swedish': ('sv', ('cp1252',)),
    'Polish': ('pl', ('cp1250', 'iso8859_2')),
    'Czech': ('cs', ('cp1250', 'iso8859_2')),
    'Hungarian': ('hu', ('cp1250',)),
    'Romanian': ('ro', ('cp1250',)),
    'Lithuanian': ('lt', ('cp1257',)),
}
_NOT_WORDS = re.compile(r'[%{}<>\\$_@=\n\t]|--|https?:')


def messages(folder: Path, locale: str) -> list[str]:
    """The translations in all catalogues of a language that are short lines of words, sorted, each once.

    Names of languages and places (`iso_…`) are left out: their letters are those of many languages.
    """
    lines: set[str] = set()
    for path in sorted(folder.glob(f'{locale}/LC_MESSAGES/*.mo')):
        if path.name.startswith('iso_'):
            continue
        with path.open('rb') as file:
            try:
                catalogue: dict[object, str] = getattr(gettext.GNUTranslations(file), '_catalog')  # noqa: B009
            except (OSError, ValueError, UnicodeError):
                continue
        lines |= {text.strip() for key, text in catalogue.items() if key and isinstance(text, str)}
    return sorted(line for line in lines if 8 <= len(line) <= LONGEST_LINE and not _NOT_WORDS.search(line))


def subtitles(lines: Sequence[str]) -> str:
    """A subtitle file with one line a cue."""
    return ''.join(
        f'{at}\n00:00:{2 * at:02d},150 --> 00:00:{2 * at + 1:02d},420\n{line}\n\n' for at, line in enumerate(lines, 1)
    )


def ours(raw: bytes) -> str | None:
    """The text that affekt reads; None where it refuses."""
    try:
        return decode_text(raw, 'a.srt').text
    except TableError:
        return None


def theirs(raw: bytes) -> str | None:
    """The text that charset-normalizer reads; None where it has none."""
    best = charset_normalizer.from_bytes(raw).best()
    return None if best is None else str(best)


def trials(lines: Sequence[str], encoding: str, size: int, count: int) -> Iterator[str]:
    """Texts of so many lines, of which each holds something else than ASCII and can be written in the encoding."""
    usable = [line for line in lines if not line.isascii() and line.encode(encoding, 'ignore').decode(encoding) == line]
    rng = random.Random(f'{encoding} {size}')
    for _ in range(count if len(usable) >= size else 0):
        yield subtitles(rng.sample(usable, size))


def counted(texts: Sequence[str], encoding: str, read: Callable[[bytes], str | None]) -> dict[str, int]:
    """How many texts are read right, refused, and read wrong."""
    readings = [(text, read(text.encode(encoding))) for text in texts]
    outcomes = Counter(
        'refused' if reading is None else 'right' if reading == text else 'wrong' for text, reading in readings
    )
    return {name: outcomes[name] for name in ('right', 'refused', 'wrong')}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--catalogues', type=Path, default=SYSTEM_CATALOGUES)
    parser.add_argument('--trials', type=int, default=25)
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    rows = []
    for language, (locale, encodings) in LANGUAGES.items():
        lines = messages(options.catalogues, locale)
        for encoding in encodings:
            for size in LINES:
                texts = list(trials(lines, encoding, size, options.trials))
                row = {
                    'language': language,
                    'encoding': encoding,
                    'lines': size,
                    'affekt': counted(texts, encoding, ours),
                    'charset_normalizer': counted(texts, encoding, theirs),
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
    names = ('affekt', 'charset_normalizer')
    totals = {
        str(size): {
            name: {
                outcome: sum(row[name][outcome] for row in rows if row['lines'] == size)
                for outcome in ('right', 'refused', 'wrong')
            }
            for name in names
        }
        for size in LINES
    }
    result = {
        'trials': options.trials,
        'charset_normalizer': version('charset-normalizer'),
        'totals_by_lines': totals,
        'rows': rows,
    }
    options.out.write_bytes(json_file(result))
    print(json.dumps(totals, indent=1))


if __name__ == '__main__':
    main()
