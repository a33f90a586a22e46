"""Location of a C2PA manifest in a file, and checks of the bytes that its signature does not cover.

C2PA covers the image, the claim and the assertions by hashes and a signature, but not the container around the
manifest (lengths, labels, padding, the header of its segment, the file type of an MP4). Other readers call a file with
a changed byte there intact. affekt's manifest has only one valid form, so such changes are detected here.

Source: ISO/IEC 19566-5 (JUMBF); C2PA Technical Specification 2.2, sections 11.1 and A.3 to A.5; RFC 9052 (COSE).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MIME = {
    '.mp4': 'video/mp4', '.mov': 'video/quicktime', '.png': 'image/png', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg',
}  # fmt: skip
"""Suffixes of files that can be signed and checked, to their types."""
TRACES = (b'c2pa.assertions', b'c2pa.signature', b'urn:c2pa:')
"""Texts that every manifest contains, even if otherwise damaged."""
LARGEST_STORE = 64 << 20
"""Maximum size of a manifest store in bytes."""
_PNG = b'\x89PNG\r\n\x1a\n'
_UUID = bytes.fromhex('d8fec3d61b0e483c92975828877ec481')
_AFTER_TYPE = bytes.fromhex('00110010800000aa00389b71')
"""Bytes that follow the four letters of a box's type in JUMBF."""


class Malformed(ValueError):
    """The bytes do not have the form that a signer writes."""


@dataclass(frozen=True)
class Embedded:
    """The manifest store of a file, and the parts of the file that its hashes leave out."""

    store: bytes
    file_type: bytes = b''
    """The `ftyp` box of an MP4."""


def mime_of(path: Path) -> str:
    """The MIME type by a file's first bytes, else by its extension; '' for neither."""
    with path.open('rb') as file:
        start = file.read(12)
    if start.startswith(_PNG):
        return 'image/png'
    if start.startswith(b'\xff\xd8\xff'):
        return 'image/jpeg'
    if start[4:8] == b'ftyp':
        return 'video/mp4'
    return MIME.get(path.suffix.lower(), '')


def has_traces(path: Path) -> bool:
    """Whether any of TRACES occurs in a file."""
    longest = max(map(len, TRACES))
    tail = b''
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            window = tail + block
            if any(trace in window for trace in TRACES):
                return True
            tail = window[-longest:]
    return False


def embedded(path: Path, mime: str) -> Embedded:
    """The manifest store of a file, whose carrier must have a signer's form.

    Raises:
        Malformed: the carrier has another form, or there is none or more than one.
    """
    with path.open('rb') as file:
        try:
            return {'image/png': _of_png, 'image/jpeg': _of_jpeg}.get(mime, _of_mp4)(file)
        except struct.error as error:
            raise Malformed('it ends early') from error


def require_signers_form(store: bytes) -> None:
    """Require that all unsigned parts of a manifest store have the form of affekt's signer.

    Raises:
        Malformed: they have another form.
    """
    (manifest,) = _expect(_children(_single(store), b'c2pa', b'c2pa'), 1)
    assertions, claim, signature = _expect(_children(manifest, b'c2ma', b'urn:c2pa:'), 3)
    for assertion in _children(assertions, b'c2as', b'c2pa.assertions'):
        _expect(_children(assertion, b'cbor', b'', salted=True), 1)
    _expect(_children(claim, b'c2cl', b'c2pa.claim.v2'), 1)
    (signed,) = _expect(_children(signature, b'c2cs', b'c2pa.signature'), 1)
    _require_cose(signed[8:])


# Carriers


def _of_png(file: IO[bytes]) -> Embedded:
    """The one chunk caBX, whose checksum covers all of it."""
    if file.read(8) != _PNG:
        raise Malformed('it does not begin as a PNG file does')
    stores = []
    while header := file.read(8):
        length, name = struct.unpack('>I4s', header)
        if name != b'caBX':
            file.seek(length + 4, 1)
            continue
        if length > LARGEST_STORE:
            raise Malformed('the manifest is too large')
        content, checksum = file.read(length), file.read(4)
        if struct.pack('>I', zlib.crc32(content, zlib.crc32(name))) != checksum:
            raise Malformed('the checksum of its manifest is another')
        stores.append(content)
    return Embedded(_single_store(stores))


def _of_jpeg(file: IO[bytes]) -> Embedded:
    """The segments APP11 in order, each with the header of the box whose piece it is."""
    if file.read(2) != b'\xff\xd8':
        raise Malformed('it does not begin as a JPEG file does')
    store = b''
    number = 0
    while True:
        mark, code, length = struct.unpack('>BBH', file.read(4))
        if mark != 0xFF or length < 2:
            raise Malformed('one of its segments has no mark')
        if code == 0xDA:  # image data follow
            break
        if code != 0xEB:
            file.seek(length - 2, 1)
            continue
        content = file.read(length - 2)
        number += 1
        if content[:8] != b'JP\x02\x11' + struct.pack('>I', number) or len(store) > LARGEST_STORE:
            raise Malformed('a segment of its manifest has another header')
        if number > 1 and content[8:16] != store[:8]:
            raise Malformed('a segment of its manifest belongs to another box')
        store += content[8 if number == 1 else 16 :]
    return Embedded(_single_store([store] if number else []))


def _of_mp4(file: IO[bytes]) -> Embedded:
    """The one box uuid of C2PA, and the file type before it."""
    stores, file_type = [], b''
    for name, start, size in _mp4_boxes(file):
        if name == b'ftyp':
            file.seek(start)
            file_type += file.read(size)
        if name != b'uuid':
            continue
        file.seek(start + 8)
        if file.read(16) != _UUID:
            continue
        # version and flags, purpose, and position of a hash tree, which unfragmented files lack
        if file.read(21) != b'\0' * 4 + b'manifest\0' + b'\0' * 8 or size > LARGEST_STORE:
            raise Malformed('the box of its manifest has another header')
        stores.append(file.read(size - 45))
    return Embedded(_single_store(stores), file_type)


def _mp4_boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and size of each outermost box."""
    end = file.seek(0, 2)
    start = 0
    while start < end:
        file.seek(start)
        size, name = struct.unpack('>I4s', file.read(8))
        if size == 1:
            (size,) = struct.unpack('>Q', file.read(8))
        elif size == 0:
            size = end - start
        if size < 8 or start + size > end:
            raise Malformed('one of its boxes has no possible size')
        yield name, start, size
        start += size


def _single_store(stores: list[bytes]) -> bytes:
    if len(stores) != 1:
        raise Malformed('it has no manifest' if not stores else 'it has more than one manifest')
    return stores[0]


# Boxes of the store


def _boxes(content: bytes) -> list[bytes]:
    """Consecutive boxes, which must fill the content."""
    boxes = []
    start = 0
    while start < len(content):
        (size,) = struct.unpack_from('>I', content, start) if start + 8 <= len(content) else (0,)
        if size < 8 or start + size > len(content):
            raise Malformed('a box of its manifest has another size')
        boxes.append(content[start : start + size])
        start += size
    return boxes


def _single(content: bytes) -> bytes:
    return _expect(_boxes(content), 1)[0]


def _expect(boxes: list[bytes], count: int) -> list[bytes]:
    if len(boxes) != count:
        raise Malformed('a part of its manifest has another number of boxes')
    return boxes


def _children(box: bytes, name: bytes, label: bytes, *, salted: bool = False) -> list[bytes]:
    """The boxes within a superbox after its description, which must match.

    Args:
        box: the superbox.
        name: four letters of its type.
        label: label of the superbox; one that ends in ':' is a prefix.
        salted: any label, followed by a private box of random bytes, as in assertions; the signature covers both.
    """
    if box[4:8] != b'jumb':
        raise Malformed('a part of its manifest is of another type')
    first, *others = _boxes(box[8:])
    description = first[8:]
    if first[4:8] != b'jumd' or description[:16] != name + _AFTER_TYPE:
        raise Malformed('a part of its manifest is described as of another type')
    own_label, zero, after_label = description[17:].partition(b'\0')
    is_label = own_label.startswith(label) if label.endswith(b':') else own_label == label
    if description[16] != (0x13 if salted else 0x03) or not zero or not (salted or (is_label and not after_label)):
        raise Malformed('a part of its manifest has another label')
    if salted and _single(after_label)[4:8] != b'c2sh':
        raise Malformed('an assertion of its manifest has no salt')
    return others


def _require_cose(content: bytes) -> None:
    """A signature of one signer whose only unsigned header is padding by zeros: [protected, {pad}, nil, signature]."""
    if content[:2] != b'\xd2\x84':
        raise Malformed('its signature has another form')
    _, position = _byte_string(content, 2)
    if content[position : position + 5] != b'\xa1cpad':
        raise Malformed('its signature has another header')
    padding, position = _byte_string(content, position + 5)
    if padding.strip(b'\0') or content[position : position + 1] != b'\xf6':
        raise Malformed('its signature has other padding')
    _, end = _byte_string(content, position + 1)
    if end != len(content):
        raise Malformed('something follows its signature')


def _byte_string(content: bytes, start: int) -> tuple[bytes, int]:
    """A CBOR byte string whose length is written in the shortest form, and the offset of its end."""
    if start >= len(content) or content[start] >> 5 != 2:
        raise Malformed('its signature has another form')
    code, start = content[start] & 31, start + 1
    width = {24: 1, 25: 2, 26: 4}.get(code, 0)
    length = int.from_bytes(content[start : start + width], 'big') if width else code
    if (not width and code > 23) or length < {0: 0, 1: 24, 2: 1 << 8, 4: 1 << 16}[width]:
        raise Malformed('its signature has another form')
    end = start + width + length
    if end > len(content):
        raise Malformed('its signature ends early')
    return content[start + width : end], end
