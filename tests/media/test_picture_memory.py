"""The memory that reading a picture takes is known beforehand, and held to a limit that depends on its format."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from heif_files import write_heic
from PIL import Image, ImageOps

from affekt.containers import Limits
from affekt.containers.source import Source
from affekt.errors import LimitError, MediaError
from affekt.media import Recording
from affekt.media.probe import check_picture_memory
from affekt.media.still_memory import bytes_while_reading
from affekt.media.synthetic import numbered_images
from affekt.media.writing import PictureStyle, write_video

WIDTH, HEIGHT = 64, 48
PIXELS = WIDTH * HEIGHT


def saved(mode, kind, **options):
    """A picture of noise as the bytes of a file."""
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).convert(mode)
    if mode == 'RGBA':
        image.putalpha(image.getchannel('R'))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def estimate(data, kind):
    """Bytes beside those of the file."""
    with Image.open(io.BytesIO(data)) as image:
        return bytes_while_reading(image, Source(data, Limits()), kind)


@pytest.mark.parametrize(
    ('mode', 'kind', 'options', 'a_pixel'),
    [
        ('RGB', 'JPEG', {}, 7),  # 4 as decoded and 3 as given out
        ('RGB', 'JPEG', {'progressive': True}, 10),  # 4, and coefficients of 2 bytes for each of 3 colours
        ('CMYK', 'JPEG', {'progressive': True}, 12),
        ('RGB', 'WEBP', {}, 16),
        ('RGB', 'AVIF', {'subsampling': '4:4:4'}, 10),  # 3 as coded, 3 as RGB, 4 as decoded
        ('RGB', 'AVIF', {'subsampling': '4:2:0'}, 9),
        ('RGBA', 'AVIF', {'subsampling': '4:4:4'}, 12),
    ],
)
def test_the_bytes_of_a_pixel_follow_the_format(mode, kind, options, a_pixel):
    data = saved(mode, kind, **options)
    assert estimate(data, kind) == a_pixel * PIXELS + len(data)


def test_pixels_of_a_png_and_a_bmp_are_unpacked_as_they_come():
    assert estimate(saved('RGB', 'BMP'), 'BMP') == 7 * PIXELS
    png = saved('RGBA', 'PNG')
    assert 7 * PIXELS <= estimate(png, 'PNG') < 7 * PIXELS + 64  # the header's 13 bytes
    content = b'prVt' + bytes(4000)
    private = (4000).to_bytes(4, 'big') + content + zlib.crc32(content).to_bytes(4, 'big')
    assert estimate(png[:33] + private + png[33:], 'PNG') == estimate(png, 'PNG') + 4000


def test_a_compressed_tiff_counts_its_strips_and_its_file():
    plain, packed = saved('CMYK', 'TIFF'), saved('CMYK', 'TIFF', compression='tiff_lzw')
    assert estimate(plain, 'TIFF') == 7 * PIXELS
    # one strip of all rows: 4 as decoded, 4 as unpacked, and the file
    assert estimate(packed, 'TIFF') == 8 * PIXELS + len(packed)


def tiled(side, tile):
    """A black TIFF of side x side in one tile, which may be larger."""
    content = zlib.compress(bytes(3 * tile * tile), 9)
    bits = 8 + 2 + 11 * 12 + 4  # first byte behind the tags
    tags = (
        (256, side), (257, side), (258, bits), (259, 8), (262, 2), (277, 3), (284, 1),
        (322, tile), (323, tile), (324, bits + 6), (325, len(content)),
    )  # fmt: skip
    entries = b''.join(struct.pack('<HHII', tag, 3 if tag == 258 else 4, 3 if tag == 258 else 1, n) for tag, n in tags)
    return b'II*\0' + struct.pack('<IH', 8, len(tags)) + entries + bytes(4) + struct.pack('<3H', 8, 8, 8) + content


def test_a_tile_that_is_larger_than_its_picture_counts_whole():
    data = tiled(16, 256)
    # 4 as decoded of the picture; of the tile 3 as unpacked and 4 as red, green, blue and alpha; and the file
    assert estimate(data, 'TIFF') == 4 * 16**2 + 7 * 256**2 + len(data)
    assert next(Recording.open(data).frames()).image.shape == (16, 16, 3)
    with pytest.raises(LimitError, match='max_picture_bytes'):
        Recording.open(data, Limits(max_picture_bytes=7 * 256**2))


def test_strips_of_a_tiff_that_states_words_for_their_rows_may_be_the_whole_picture():
    data = saved('RGB', 'TIFF', compression='tiff_lzw')
    rows = struct.pack('<HHI', 278, 3, 1)
    assert data.count(rows) == 1
    at = data.index(rows)
    wrong = data[:at] + struct.pack('<HHI4s', 278, 2, 4, b'all\0') + data[at + 12 :]
    assert estimate(wrong, 'TIFF') == estimate(data, 'TIFF')
    with pytest.raises(MediaError, match='a whole TIFF picture'):
        list(Recording.open(wrong).frames())


def test_a_heic_counts_its_planes_and_twice_their_colours(tmp_path):
    path = write_heic(tmp_path / 'a.heic', np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    what = 9 * PIXELS + path.stat().st_size  # 4:4:4 of 8 bits: 3, and 2 x 3
    Recording.open(path, Limits(max_picture_bytes=what))
    with pytest.raises(LimitError, match='max_picture_bytes'):
        Recording.open(path, Limits(max_picture_bytes=what - 1))


@pytest.mark.parametrize(('kind', 'most_pixels'), [('WEBP', 26_250_000), ('JPEG', 36_000_000)])
def test_a_picture_within_500_megabytes_is_opened_and_a_larger_one_is_refused_with_the_way_out(kind, most_pixels):
    data = saved('RGB', kind)
    needed = estimate(data, kind)
    assert most_pixels * (needed - len(data)) / PIXELS <= Limits().max_picture_bytes
    assert next(Recording.open(data, Limits(max_picture_bytes=needed)).frames()).image.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(LimitError, match=r'scale it down first, or raise Limits\.max_picture_bytes'):
        Recording.open(data, Limits(max_picture_bytes=needed - 1))


def test_a_row_longer_than_any_photograph_is_refused():
    with pytest.raises(LimitError, match='max_side'):
        Recording.open(saved('RGB', 'PNG'), Limits(max_side=WIDTH - 1))


@pytest.mark.parametrize(
    ('width', 'height', 'pixel_format', 'codec', 'is_read'),
    [
        (3840, 2160, 'yuv420p', 'h264', True),
        (4096, 2160, 'yuv420p10le', 'hevc', True),
        (3840, 2160, 'yuv444p10le', 'h264', True),
        (5024, 5024, 'yuv420p', 'hevc', False),
        (7680, 4320, 'yuv420p10le', 'hevc', False),
        (6000, 6000, 'bgra', 'gif', False),
        (5000, 5000, 'bgra', 'gif', True),
        (6000, 6000, 'rgba64be', 'png', False),
        (6000, 6000, 'yuvj420p', 'mjpeg', True),
    ],
)
def test_films_are_held_to_the_pictures_that_their_decoder_keeps(width, height, pixel_format, codec, is_read):
    source = Source(b'film', Limits())
    if is_read:
        check_picture_memory(width, height, pixel_format, codec, source, Limits())
        return
    with pytest.raises(LimitError, match='max_picture_bytes'):
        check_picture_memory(width, height, pixel_format, codec, source, Limits())


def test_a_film_above_the_limit_is_refused_when_it_is_opened(tmp_path):
    path = write_video(tmp_path / 'a.mp4', numbered_images(5, 96, 72), 10, picture=PictureStyle('libx264'))
    with pytest.raises(LimitError, match='max_picture_bytes'):
        Recording.open(path, Limits(max_picture_bytes=96 * 72 * 12))
    assert len(list(Recording.open(path).frames())) == 5


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_picture_that_is_read_in_strips_is_turned_as_a_whole(orientation, monkeypatch):
    monkeypatch.setattr('affekt.media.stills.STRIP_PIXELS', 5 * WIDTH)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved('RGB', 'PNG', exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        plain = np.asarray(image)
    upright = {
        1: plain, 2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1], 5: plain.swapaxes(0, 1),
        6: np.rot90(plain, -1), 7: np.rot90(plain, 2).swapaxes(0, 1), 8: np.rot90(plain),
    }[orientation]  # fmt: skip
    assert (next(Recording.open(data).frames()).image == upright).all()


@pytest.mark.parametrize('orientation', [1, 3, 6, 7])
@pytest.mark.parametrize('max_side', [63, 31, 13, 5])
def test_a_picture_that_is_shrunk_in_strips_is_what_pillow_makes_of_the_whole(orientation, max_side, monkeypatch):
    monkeypatch.setattr('affekt.media.stills.STRIP_PIXELS', 5 * WIDTH)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved('RGB', 'PNG', exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        whole = ImageOps.exif_transpose(image)
        whole.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    shrunk = next(Recording.open(data).frames(max_side=max_side)).image
    assert max(shrunk.shape) == max_side
    assert shrunk.shape[:2] == whole.size[::-1]
    assert np.abs(shrunk.astype(int) - np.asarray(whole)).max() <= (1 if orientation == 1 else 30)
    assert np.abs(shrunk.astype(int) - np.asarray(whole)).mean() < 3


def test_a_deep_grey_picture_is_scaled_by_the_brightest_of_all_its_strips(monkeypatch):
    monkeypatch.setattr('affekt.media.stills.STRIP_PIXELS', WIDTH)
    grey = np.linspace(0, 1000, PIXELS, dtype=np.float32).reshape(HEIGHT, WIDTH)
    grey[3, 5] = np.nan
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, 'TIFF')
    image = next(Recording.open(buffer.getvalue()).frames()).image[:, :, 0]
    # above 255 a white of 65,535 is meant, so 1,000 becomes 3.9
    assert image[-1, -1] == 4
    assert image[0, 0] == 0
    assert image[3, 5] == 0
