"""The kind of a file by its first bytes, and the lines of text files.

`affekt.text_encoding` determines the encoding of a text; a file of more than `MOST_DECODED` bytes must be UTF-8 or have
a byte-order mark, and is read line by line.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from affekt.errors import TableError
from affekt.runs import only_regular, read_regular_file
from affekt.text_encoding import decode_text

MOST_DECODED = 64 * 2**20
"""Largest size in bytes of a file that is decoded at once."""
LONGEST_LINE = 16 * 2**20
"""Largest length of a line in characters."""
CHUNK = 1 << 20
"""Number of bytes that are checked at a time."""
LINE = re.compile(r'[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+')
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
    b'\x89PNG': 'an image (PNG)',
    b'\xff\xd8\xff': 'an image (JPEG)',
    b'\x80\x02': 'a pickle', b'\x80\x03': 'a pickle', b'\x80\x04': 'a pickle', b'\x80\x05': 'a pickle',
    b'version https://git-lfs': 'a pointer of Git LFS in place of the file',
}  # fmt: skip
"""First bytes to the kind of file; the content of `zip` is examined further."""
_DOCUMENTS = {
    'xl/workbook.xml': 'xlsx',
    'xl/workbook.bin': 'a binary workbook (.xlsb)',
    'word/document.xml': 'a Word document',
    'content.xml': 'an OpenDocument file',
    'Index/Document.iwa': 'a sheet of Numbers',
}
"""A member of a zip archive to the kind of archive."""
_MARKS = (
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF32_LE, 'utf-32'),
    (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
)
_WEB_PAGE = re.compile(rb'[\xef\xbb\xbf\s]*<(!doctype|html|head|body|table|\?xml|!--|div|meta)\b', re.IGNORECASE)


def form_of(path: Path) -> str:
    """`parquet`, `xlsx`, `npz`, `json` (it starts like JSON) or `text`.

    Raises:
        TableError: the file is empty or of another kind, which the message names.
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
        form = 'a web page (HTML or XML)'
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


def text_lines(path: Path) -> tuple[Iterator[str], list[str]]:
    """The lines of a text file with their ends, and notes on how it was decoded.

    Raises:
        TableError: the file is not text, its encoding is uncertain, or a line is too long or contains zero bytes.
    """
    if path.stat().st_size <= MOST_DECODED:
        decoded = decode_text(read_regular_file(path), str(path))
        return _checked((match[0] for match in LINE.finditer(decoded.text)), path), list(decoded.notes)
    with open(path, 'rb', opener=only_regular) as file:
        head = file.read(4)
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), 'utf-8')
    undecodable = _first_undecodable(path, encoding)
    if undecodable is not None:
        raise TableError(
            expected='text in UTF-8',
            came=f'{path}, not {encoding.upper()} at byte {undecodable}',
            todo='save it as UTF-8',
        )
    return _checked(_streamed(path, encoding), path), []


def _streamed(path: Path, encoding: str) -> Iterator[str]:
    with open(path, newline='', encoding=encoding, opener=only_regular) as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def _checked(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if len(line) >= LONGEST_LINE:
            raise TableError(
                expected=f'lines shorter than {LONGEST_LINE:,} characters',
                came=f'a longer one, line {number} of {path.name}',
                todo='write one row per line; a JSON list ends in .json',
            )
        if '\0' in line:
            raise TableError(
                expected='text', came=f'{path}: zero bytes in row {number}', todo='save the file again as text'
            )
        yield line


def _first_undecodable(path: Path, encoding: str) -> int | None:
    """Position of the first byte that is not valid in an encoding; None if the whole file is."""
    decoder, position = codecs.getincrementaldecoder(encoding)(), 0
    with path.open('rb') as file:
        while True:
            chunk = file.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                return position + getattr(error, 'start', 0)
            if not chunk:
                return None
            position += len(chunk)
