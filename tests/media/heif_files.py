"""HEIC files as phones write them: one picture, or a grid of tiles, with a turn beside it.

Source: ISO/IEC 23008-12, sections 6.5 and 6.6.2.3; ISO/IEC 14496-12, section 8.11.
"""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
from PIL import Image


def box(name, *content):
    body = b''.join(content)
    return struct.pack('>I4s', 8 + len(body), name) + body


def full(name, *content, version=0, flags=0):
    return box(name, struct.pack('>I', version << 24 | flags), *content)


def coded(image, folder):
    """The hvcC box and the coded picture of one tile."""
    path = folder / 'tile.mp4'
    with av.open(str(path), 'w') as film:
        stream = film.add_stream('libx265', rate=1, options={'crf': '8', 'x265-params': 'log-level=none:bframes=0'})
        stream.width, stream.height, stream.pix_fmt, stream.codec_tag = (
            image.shape[1],
            image.shape[0],
            'yuv444p',
            'hvc1',
        )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), 'rgb24')
        frame.pts, frame.time_base = 0, Fraction(1)
        film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        packet = next(p for p in film.demux(stream) if p.size)
        return box(b'hvcC', bytes(stream.codec_context.extradata)), bytes(packet)


def write_heic(path, image, *, tile=None, quarter_turns=0, orientation=None, brand=b'heic'):
    """A HEIC of `image` (H, W, 3), cut into square tiles where `tile` says so, to be turned counter-clockwise.

    With `quarter_turns` None it states no turn; `orientation` goes into Exif data beside the picture.
    """
    height, width = image.shape[:2]
    side_y, side_x = (tile, tile) if tile else (height, width)
    rows, columns = -(-height // side_y), -(-width // side_x)
    padded = np.pad(image, ((0, rows * side_y - height), (0, columns * side_x - width), (0, 0)), mode='edge')
    tiles = [
        coded(padded[y * side_y : (y + 1) * side_y, x * side_x : (x + 1) * side_x], path.parent)
        for y in range(rows)
        for x in range(columns)
    ]
    items = list(range(1, len(tiles) + 1))
    primary = items[-1] + 1 if tile else 1
    grid = struct.pack('>BBBBHH', 0, 0, rows - 1, columns - 1, width, height)
    properties = [config for config, _ in tiles]
    properties += [full(b'ispe', struct.pack('>II', side_x, side_y)), full(b'ispe', struct.pack('>II', width, height))]
    properties += [] if quarter_turns is None else [box(b'irot', bytes([quarter_turns]))]
    tile_size, whole_size, turn = len(tiles) + 1, len(tiles) + 2, len(tiles) + 3
    linked = {item: [0x80 | item, tile_size] for item in items}
    linked[primary] = [*linked.get(primary, [whole_size]), *([] if quarter_turns is None else [0x80 | turn])]
    contents = {item: data for item, (_, data) in zip(items, tiles, strict=True)} | ({primary: grid} if tile else {})
    kinds = {item: b'grid' if tile and item == primary else b'hvc1' for item in contents}
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        kinds[primary + 1], contents[primary + 1] = b'Exif', bytes(4) + exif.tobytes().removeprefix(b'Exif\0\0')
    infos = [
        full(b'infe', struct.pack('>HH', item, 0), kinds[item], b'\0',
             version=2, flags=int(bool(tile) and item < primary))
        for item in contents
    ]  # fmt: skip
    parts = [
        full(b'hdlr', bytes(4), b'pict', bytes(12), b'\0'),
        full(b'pitm', struct.pack('>H', primary)),
        full(b'iinf', struct.pack('>H', len(contents)), *infos),
        box(b'iprp', box(b'ipco', *properties), full(
            b'ipma', struct.pack('>I', len(linked)),
            *(struct.pack('>HB', item, len(p)) + bytes(p) for item, p in sorted(linked.items())),
        )),
    ]  # fmt: skip
    references = []
    if tile:
        links = struct.pack(f'>HH{len(items)}H', primary, len(items), *items)
        references.append(box(b'dimg', links))
    if orientation is not None:
        references.append(box(b'cdsc', struct.pack('>HHH', primary + 1, 1, primary)))
    if references:
        parts.append(full(b'iref', *references))
    start = box(b'ftyp', brand, bytes(4), b'mif1', brand)

    def located(offset):
        rows_of_places = b''
        for item, data in contents.items():
            rows_of_places += struct.pack('>HHHII', item, 0, 1, offset, len(data))
            offset += len(data)
        places = full(b'iloc', bytes([0x44, 0x00]), struct.pack('>H', len(contents)), rows_of_places)
        return full(b'meta', *parts[:2], places, *parts[2:])

    offset = len(start) + len(located(0)) + 8
    path.write_bytes(start + located(offset) + box(b'mdat', *contents.values()))
    return path
