"""The word tables of the MER challenges, read from the official files in the layout of their release.

A folder contains `format.csv` (base, its forms), `synonym.xlsx` (wheel word and synonyms, eight runs side by side) and
`wheel1.xlsx` … `wheel5.xlsx` (three rings, blanks repeat the cell above); the release of 2026 also contains all of it
as `wheel_mapping.npz`, which gives the same table. The files are for non-commercial use and may not be redistributed:
put your copy in a folder named by `AFFEKT_MODELS`, or pass the folder itself as the table.

Source: arXiv:2410.01495, arXiv:2501.16566; github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from affekt.errors import TableError, UnknownNameError, WeightsError
from affekt.labels.wheels import PACKAGED_TABLE, Wheel, Word, WordTable
from affekt.labels.wheels import read_table as read_word_table
from affekt.npz import read_npz
from affekt.tables import first_sheet, read_table
from affekt.weights import lookup, model_path

OFFICIAL = ('2025', '2026')
"""Names of the challenges' tables, by year."""
TABLE_NAMES = ('affekt', *OFFICIAL)
"""Names of word tables, which take precedence over paths."""
KNOWN_HASHES: Mapping[str, str] = {
    '2025': '8e1e7c6b32160cfb1554e8c6982c995b7c1396e509aad1f4cbe2fa0cc67e8cbb',
    '2026': 'd7898c2915ee6769b600f46e913d99c09b23d4e3ef6496c2056cfad214b0a694',
}
"""SHA-256 of the two tables, which identify the files in a folder."""
WHEELS = tuple(f'wheel{index}' for index in range(1, 6))
_SOURCES = ('official files of the MER challenge, arXiv:2410.01495 and arXiv:2501.16566',)


def load_table(name: str | Path) -> WordTable:
    """The word table with a name, read once per process, or the one in your own files.

    Args:
        name: `affekt`, `2025`, `2026`, a table file (.json), or a folder with the official files
            (format.csv, synonym.xlsx, wheel1.xlsx … wheel5.xlsx, or wheel_mapping.npz).

    Raises:
        UnknownNameError: the name is neither a known table nor an existing path.
        TableError: the files are damaged or incomplete.
        WeightsError: the official files of that name are not here and could not be downloaded.
    """
    if str(name) == TABLE_NAMES[0]:
        return packaged_table()
    if str(name) in OFFICIAL:
        return official_table(str(name))
    path = Path(name)
    if path.is_dir():
        return read_official(path)
    if path.is_file():
        return read_word_table(path)
    raise UnknownNameError(
        expected=f'affekt, {", ".join(OFFICIAL)}, a table file, or a folder with the official files',
        came=f'{str(name)!r}',
        todo='name one of these',
    )


@cache
def packaged_table() -> WordTable:
    """The table `affekt`, which is part of the package."""
    return read_word_table(PACKAGED_TABLE)


@cache
def official_table(name: str) -> WordTable:
    """The official table `2025` or `2026`, from the model files `word-table-2025` and `word-table-2026`.

    Raises:
        WeightsError: the files are not here and could not be downloaded.
    """
    try:
        folder = model_path(f'word-table-{name}')
    except WeightsError as error:
        raise WeightsError(
            expected=f'the official word table {name}',
            came=error.came,
            todo=f'copy the folder {release_folder(name)} of github.com/zeroQiaoba/MERTools and give --tables that '
            f'folder, or put its files into word-table-{name}/ in a folder named by AFFEKT_MODELS; '
            '`affekt` is a table that needs nothing',
        ) from error
    return read_official(folder)


def release_folder(name: str) -> str:
    """Folder of the published repository with an official table, such as MER2025/…/emotion_wheel."""
    address = urlsplit(lookup(f'word-table-{name}').parts[0].address).path
    return '/'.join(address.strip('/').split('/')[3:-1])


def read_official(folder: Path) -> WordTable:
    """The table in a folder of official files; named by its content, `custom` where that is neither 2025 nor 2026.

    Raises:
        TableError: a file is missing or damaged.
    """
    sheets = [folder / name for name in ('format.csv', 'synonym.xlsx', *(f'{wheel}.xlsx' for wheel in WHEELS))]
    missing = [path.name for path in sheets if not path.is_file()]
    if not missing:
        official = _from_sheets(folder)
    elif (folder / 'wheel_mapping.npz').is_file():
        official = _from_npz(folder / 'wheel_mapping.npz')
    else:
        raise TableError(
            expected='format.csv, synonym.xlsx and wheel1.xlsx … wheel5.xlsx, or wheel_mapping.npz',
            came=f'{folder} without {", ".join(missing)}',
            todo='copy the folder emotion_wheel of the official release',
        )
    candidates = (replace(official, name=name) for name in OFFICIAL)
    return next((table for table in candidates if table.sha256 == KNOWN_HASHES[table.name]), official)


def _from_sheets(folder: Path) -> WordTable:
    """The table of format.csv, synonym.xlsx and the five sheets of wheels."""
    forms = dict(_forms(folder / 'format.csv'))
    synonyms = _synonyms(folder / 'synonym.xlsx')
    return _table(forms, synonyms, [_wheel(folder / f'{name}.xlsx', name) for name in WHEELS])


def _from_npz(path: Path) -> WordTable:
    """The table of wheel_mapping.npz."""
    arrays = read_npz(path)
    try:
        forms: dict[str, set[str]] = {}
        for form, bases in arrays['format_mapping'].items():
            for base in bases:
                forms.setdefault(base, set()).add(form)
        synonyms = {base: set(words) for base, words in arrays['raw_mapping'].items()}
        wheels = [
            Wheel(
                name, dict(arrays['wheel_map_whole'][name]['level1']), dict(arrays['wheel_map_whole'][name]['level2'])
            )
            for name in WHEELS
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise TableError(
            expected='format_mapping, raw_mapping and wheel_map_whole with five wheels',
            came=f'{path}: {error}',
            todo='take wheel_mapping.npz from the official release',
        ) from error
    return _table(forms, synonyms, wheels)


def _table(forms: Mapping[str, set[str]], synonyms: Mapping[str, set[str]], wheels: Sequence[Wheel]) -> WordTable:
    unplaced = sorted(set(forms) - set(synonyms))
    if unplaced or not forms:
        raise TableError(
            expected='a wheel word for every base of format.csv',
            came=f'none for {unplaced[:5]} of {len(forms)} bases',
            todo='take all files from one release',
        )
    words = {
        base: Word(tuple(sorted(forms[base] | {base})), (tuple(sorted(synonyms[base])),)) for base in sorted(forms)
    }
    return WordTable('custom', '1', tuple(wheels), words, _SOURCES)


def _forms(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each base with its forms, including the base."""
    table = read_table(path)
    if not {'name', 'format'} <= set(table):
        raise _damaged(path, 'the columns name and format', ValueError(table.seen()))
    for name, forms in zip(table['name'], table['format'], strict=True):
        base = name.strip().lower()
        yield base, {base, *(form for part in forms.split(',') if (form := part.strip().lower()))}


def _synonyms(path: Path) -> dict[str, set[str]]:
    """Each base to the wheel words that list it in any run; a wheel word also maps to itself."""
    wheel_words: dict[str, set[str]] = {}
    header, *rows = _sheet(path)
    runs = [(f'word_run{run}', f'synonym_run{run}') for run in range(1, 9) if f'word_run{run}' in header]
    if missing := [name for names in runs for name in names if name not in header] or (
        ['word_run1'] if not runs else []
    ):
        raise _damaged(path, 'the columns word_run1, synonym_run1 …', ValueError(f'no {missing[0]}'))
    pairs = [(header.index(words), header.index(synonyms)) for words, synonyms in runs]
    for row in rows:
        for word_column, synonym_column in pairs:
            if word := row[word_column].strip().lower():
                wheel_words.setdefault(word, set()).add(word)
                for synonym in row[synonym_column].lower().split(','):
                    if synonym.strip():
                        wheel_words.setdefault(synonym.strip(), set()).add(word)
    return wheel_words


def _wheel(path: Path, name: str) -> Wheel:
    """The wheel of a sheet with three rings, in which a blank cell repeats the one above.

        happy  playful  aroused          inner   playful, aroused, cheeky -> happy
                        cheeky      ->   middle  playful, aroused, cheeky -> playful;  happy -> content
               content  free             (the alphabetically first middle group of an inner word)

    Of a duplicated word the last position counts.
    """
    rows = [row[:3] for row in _sheet(path)[1:]]
    if any(len(row) < 3 for row in rows):
        raise _damaged(path, 'three columns, one per ring', ValueError(f'{len(rows[0])}'))
    current, rings = ['', '', ''], []
    for row in rows:
        current = [cell.strip().lower() or repeated for cell, repeated in zip(row, current, strict=True)]
        rings.append(tuple(current))
    inner: dict[str, str] = {}
    middle: dict[str, str] = {}
    for first, second, third in rings:
        for word in (first, second, third):
            inner[word] = first
    for first, second, third in rings:
        middle[second] = middle[third] = second
        middle[first] = min(group for sector, group, _ in rings if sector == first)
    return Wheel(name, inner, middle)


def _sheet(path: Path) -> list[list[str]]:
    """Cells of the first sheet as text."""
    rows = first_sheet(path)
    if len(rows) < 2:
        raise _damaged(path, 'a sheet of words', ValueError('no rows'))
    return [[str(cell) for cell in row] for row in rows]


def _damaged(path: Path, expected: str, error: Exception) -> TableError:
    return TableError(expected=expected, came=f'{path}: {error}', todo='take the file from the official release')
