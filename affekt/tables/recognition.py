"""What a file is, by its first bytes, and in which encoding its text stands.

A text without a mark is UTF-8 where it can be. Else it is taken for Windows-1252, as Excel writes western languages,
only where every letter in it reads as one: letters of Polish, Russian or Chinese in their own old encodings would come
out as others, and are refused.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from pathlib import Path

from affekt.errors import TableError

CHUNK = 1 << 20
_SAMPLE = 1 << 16
FORMS = {
    b'PAR1': 'parquet',
    b'PK\x03\x04': 'zip',
    b'\x93NUMPY': 'a NumPy array (.npy)',
    b'PK\x05\x06': 'an empty zip archive',
    b'\xd0\xcf\x11\xe0': 'an old workbook (.xls), or one with a password',
    b'\x1f\x8b': 'a gzip archive',
    b'BZh': 'a bzip2 archive',
    b'\xfd7zXZ\x00': 'an xz archive',
    b'\x28\xb5\x2f\xfd': 'a zstd archive',
    b'7z\xbc\xaf\x27\x1c': 'a 7z archive',
    b'Rar!': 'a rar archive',
    b'%PDF': 'a PDF',
    b'{\\rtf': 'a text document (RTF)',
    b'SQLite format 3\0': 'an SQLite database',
    b'ARROW1': 'an Arrow file',
    b'\x89HDF': 'an HDF5 file',
    b'\x89PNG': 'a picture (PNG)',
    b'\xff\xd8\xff': 'a picture (JPEG)',
    b'\x80\x02': 'a pickle', b'\x80\x03': 'a pickle', b'\x80\x04': 'a pickle', b'\x80\x05': 'a pickle',
    b'version https://git-lfs': 'a pointer of Git LFS in place of the file',
}  # fmt: skip
"""First bytes to what they are; `parquet` and `zip` are read further."""
_DOCUMENTS = {
    'xl/workbook.xml': 'xlsx',
    'xl/workbook.bin': 'a binary workbook (.xlsb)',
    'word/document.xml': 'a Word document',
    'content.xml': 'an OpenDocument file',
    'Index/Document.iwa': 'a sheet of Numbers',
}
"""A member of a zip archive to what the archive is."""
_MARKS = (
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF32_LE, 'utf-32'),
    (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
)
_WEB_PAGE = re.compile(rb'[\xef\xbb\xbf\s]*<(!doctype|html|head|body|table|\?xml|!--|div|meta)\b', re.IGNORECASE)
_LETTERS = 'àáâãäåæçèéêëìíîïñòóôõöøùúûüýßœÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝŒ'
_SIGNS = '‚„“”‘’‹›«»…–—•·°§€£¿¡ªº\xa0'
_WRONG = re.compile(
    rf'[^\x00-\x7f{_LETTERS}{_SIGNS}]'  # no letter of these languages
    rf'|[{_LETTERS}]{{3}}'  # words of such letters alone
    rf'|[a-zß-ÿœ][À-ÞŒ]'  # a capital within a word
    rf'|\w[‚„“”‹›«»•·°§€£¿¡]\w',  # a sign within a word
)


def form_of(path: Path) -> str:
    """`parquet`, `xlsx`, `npz`, `json` (it starts as JSON does) or `text`.

    Raises:
        TableError: it is empty, or something else; the message names it.
    """
    with path.open('rb') as file:
        head = file.read(_SAMPLE)
    if not head:
        raise TableError(
            expected='a table with rows', came=f'{path} with 0 bytes', todo='check the file, or write it again'
        )
    form = next((form for magic, form in FORMS.items() if head.startswith(magic)), 'text')
    if form == 'zip':
        form = _within_zip(path)
    elif form == 'text' and _WEB_PAGE.match(head):
        form = 'a page of the web (HTML or XML)'
    elif form == 'text' and re.match(rb'(\xef\xbb\xbf)?\s*(\{\s*["}]|\[\s*[\[{\]])', head):
        form = 'json'
    if form not in ('parquet', 'xlsx', 'npz', 'json', 'text'):
        raise TableError(
            expected='a table', came=f'{path}: {form}', todo='unpack it or export it as csv, xlsx, jsonl or parquet'
        )
    return form


def _within_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return 'npz' if path.suffix.lower() == '.npz' else 'a damaged zip archive'
    document = next((form for member, form in _DOCUMENTS.items() if member in names), None)
    if document:
        return document
    return 'npz' if any(name.endswith('.npy') for name in names) else 'a zip archive'


def encoding_of(path: Path) -> tuple[str, str]:
    """The encoding of a text file, and a note where it was inferred.

    Raises:
        TableError: it is no text, or in an encoding that cannot be told.
    """
    with path.open('rb') as file:
        head = file.read(_SAMPLE)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked in ('utf-16', 'utf-32') and len(head) <= 4:
        raise unreadable(path, f'a mark of {marked.upper()} and nothing else, not UTF-8')
    encoding = marked or _by_zeros(head) or 'utf-8'
    wrong = _first_undecodable(path, encoding)
    if wrong is None:
        return encoding, ''
    if encoding != 'utf-8' or not _is_western(path):
        came = (
            f'text that is not UTF-8 at byte {wrong}' if encoding == 'utf-8' else f'{marked or encoding} cut or damaged'
        )
        raise unreadable(path, came)
    return 'cp1252', 'its text is no UTF-8 and was read as Windows-1252, as Excel writes it'


def unreadable(path: Path, came: str) -> TableError:
    """The error of a text in another encoding."""
    return TableError(
        expected='text in UTF-8',
        came=f'{path}: {came}',
        todo='save it as "CSV UTF-8"; if it is no text, check the path',
    )


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of plain text is 0."""
    half = max(len(head) // 2, 1)
    even, odd = head[0::2].count(0) / half, head[1::2].count(0) / half
    if max(even, odd) > 0.3 and min(even, odd) < 0.05:
        return 'utf-16-le' if odd > even else 'utf-16-be'
    return None


def _first_undecodable(path: Path, encoding: str) -> int | None:
    """Where a file stops being text of an encoding; None where it is to its end."""
    decoder, begin = codecs.getincrementaldecoder(encoding)(), 0
    with path.open('rb') as file:
        while True:
            chunk = file.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                return begin + getattr(error, 'start', 0)
            if not chunk:
                return None
            begin += len(chunk)


def _is_western(path: Path) -> bool:
    """Whether a file reads as a western language in Windows-1252."""
    rest = ''
    with path.open('rb') as file:
        while chunk := file.read(CHUNK):
            try:
                text = rest + chunk.decode('cp1252')
            except UnicodeDecodeError:
                return False
            if _WRONG.search(text):
                return False
            rest = text[-3:]
    return True
