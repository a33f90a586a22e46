"""Image format of a photograph (a single image) by its first bytes. An animation counts as video whatever its format: a
GIF or PNG with several images, an image sequence in HEIF or AVIF. Photographs in unsupported formats are refused by the
name of the format.

Source: ISO/IEC 23008-12 (HEIF) 10; AVIF 1.1.0, section 3; PNG third edition, 11.3.2.1; GIF89a.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from affekt.containers.animations import walk_gif
from affekt.containers.source import Source
from affekt.errors import MediaError

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b'\xff\xd8\xff', 'JPEG'),
    (0, b'\x89PNG\r\n\x1a\n', 'PNG'),
    (0, b'BM', 'BMP'),
    (8, b'WEBP', 'WEBP'),
    (0, b'II*\0', 'TIFF'),
    (0, b'MM\0*', 'TIFF'),
    (0, b'II+\0', 'TIFF'),
    (0, b'MM\0+', 'TIFF'),
    (0, b'GIF87a', 'GIF'),
    (0, b'GIF89a', 'GIF'),
)
AVIF_BRANDS = frozenset({b'avif', b'avis'})
HEIF_BRANDS = frozenset({b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'hevm', b'hevs', b'mif1', b'mif2'})
REFUSED: tuple[tuple[int, bytes, str], ...] = (
    (0, b'\xff\x0a', 'a JPEG XL image'),
    (0, b'\0\0\0\x0cJXL \r\n\x87\n', 'a JPEG XL image'),
    (0, b'\0\0\0\x0cjP  \r\n\x87\n', 'a JPEG 2000 image'),
    (0, b'8BPS', 'a Photoshop file'),
    (8, b'CR\x02', "a camera's raw file (CR2)"),
    (4, b'ftypcrx ', "a camera's raw file (CR3)"),
    (0, b'FUJIFILMCCD-RAW', "a camera's raw file (RAF)"),
    (0, b'IIRO', "a camera's raw file (ORF)"),
    (0, b'IIU\0', "a camera's raw file (RW2)"),
    (0, b'II\xbc\x01', 'a JPEG XR image'),
    (0, b'gimp xcf', 'a GIMP file'),
    (0, b'%PDF', 'a PDF document'),
    (0, b'<svg', 'a drawing (SVG)'),
)
LARGEST_FTYP = 4096
LARGEST_META = 1 << 20
MOST_BOXES = 4096


def picture_format(source: Source) -> str | None:
    """'JPEG', 'PNG', 'BMP', 'WEBP', 'TIFF', 'GIF', 'HEIF' or 'AVIF' for a photograph; None for anything else.

    Raises:
        MediaError: the content is a photograph or document of an unsupported format.
    """
    head = source.head(64)
    for offset, magic, description in REFUSED:
        if head[offset : offset + len(magic)] == magic:
            raise MediaError(
                expected='a photograph, video or audio of a known format',
                came=f'{source.name}, {description}',
                todo='export it as JPEG or PNG first',
            )
    for offset, magic, name in MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return None if _moves(source, name) else name
    return _iso_picture(source) if head[4:8] == b'ftyp' else None


def _moves(source: Source, name: str) -> bool:
    """Whether a file in an image format contains an animation."""
    if name == 'GIF':
        gif = walk_gif(source, most_pictures=2)
        return gif.pictures > 1 or (gif.pictures == 1 and bool(gif.damage))
    return name == 'PNG' and _is_animated_png(source)


def _is_animated_png(source: Source) -> bool:
    """Whether a chunk before the pixels announces more than one image."""
    with source.open(60.0) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, name = struct.unpack('>I4s', head)
            if name == b'acTL':
                return int.from_bytes(file.read(4), 'big') > 1
            if name in (b'IDAT', b'IEND'):
                return False
            file.seek(size + 4, 1)
    return False


def _iso_picture(source: Source) -> str | None:
    """'HEIF' or 'AVIF' if the brands state an image and no track makes it a video; otherwise None."""
    with source.open(60.0) as file:
        size = min(int.from_bytes(file.read(4), 'big'), LARGEST_FTYP)
        brands = file.read(max(size, 12) - 4)[4:]
    brand_names = {brands[offset : offset + 4] for offset in (0, *range(8, len(brands), 4))}
    is_avif = bool(brand_names & AVIF_BRANDS)
    if not is_avif and not brand_names & HEIF_BRANDS:
        return None
    boxes = set(_top_boxes(source))
    if b'moov' in boxes or b'meta' not in boxes:
        return None
    return 'AVIF' if is_avif else 'HEIF'


def states_turn(source: Source) -> bool:
    """Whether a HEIF or AVIF states its rotation or mirroring in properties of its own (irot, imir)."""
    head = source.head(LARGEST_META)
    properties = head[max(0, head.find(b'ipco')) :]
    return b'irot' in properties or b'imir' in properties


def _top_boxes(source: Source) -> Iterator[bytes]:
    """Names of the outermost boxes."""
    position = 0
    with source.open(60.0) as file:
        for _ in range(MOST_BOXES):
            file.seek(position)
            head = file.read(16)
            if len(head) < 8:
                return
            size, name = struct.unpack('>I4s', head[:8])
            if size == 1 and len(head) == 16:
                size = int.from_bytes(head[8:], 'big')
            yield name
            if size < 8:
                return
            position += size
