"""The memory that reading a picture takes is known beforehand, and held to a limit that depends on its format."""

from __future__ import annotations

import io
import re
import struct
import zlib
from types import SimpleNamespace

import av
import numpy as np
import pytest
from heif_files import write_heic
from PIL import Image, ImageOps

from affekt.containers import Limits
from affekt.containers.source import Source
from affekt.errors import LimitError, MediaError
from affekt.media import Recording
from affekt.media.decoding import OpenStream
from affekt.media.picture_memory import check_picture_memory, decoder_threads, parameter_sets
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
    with pytest.raises(MediaError, match='a whole TIFF image'):
        list(Recording.open(wrong).frames())


def understated(data):
    """The same file with every stated size (ispe) divided by 8."""
    return re.sub(
        rb'(ispe.{4})(.{4})(.{4})',
        lambda at: at[1] + b''.join((int.from_bytes(side, 'big') // 8).to_bytes(4, 'big') for side in at.groups()[1:]),
        data,
        flags=re.DOTALL,
    )


def test_photographs_that_understate_their_size_count_as_what_their_decoder_makes_of_them(tmp_path):
    blank = np.zeros((HEIGHT * 2, WIDTH * 2, 3), np.uint8)
    heic = write_heic(tmp_path / 'a.heic', blank).read_bytes()
    for data in (heic, saved('RGB', 'AVIF')):
        stated = understated(data)
        assert stated != data
        for content in (data, stated):
            with pytest.raises(LimitError, match='max_picture_bytes'):
                Recording.open(content, Limits(max_picture_bytes=PIXELS * 8))


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
    if is_read:
        check_picture_memory(width, height, pixel_format, codec, 'a film', Limits())
        return
    with pytest.raises(LimitError, match='max_picture_bytes'):
        check_picture_memory(width, height, pixel_format, codec, 'a film', Limits())


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


class BitWriter:
    """Bits of a parameter set, as the standards write them: u(n) and ue(v)."""

    def __init__(self):
        self.bits = ''

    def u(self, count, value):
        self.bits += f'{value:0{count}b}' if count else ''
        return self

    def ue(self, *values):
        for value in values:
            code = f'{value + 1:b}'
            self.bits += '0' * (len(code) - 1) + code
        return self

    def unit(self, head):
        """The unit with its trailing bit, and 03 put between two zeros and what a start code could be taken for."""
        bits = self.bits + '1'
        bits += '0' * (-len(bits) % 8)
        content = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
        return head + re.sub(rb'\x00\x00(?=[\x00-\x03])', b'\x00\x00\x03', content)


def h264_set(width, height, references, *, profile=66, interlaced=False):
    bits = BitWriter().u(8, profile).u(8, 0).u(8, 52).ue(0)
    if profile != 66:  # 4:2:2 of 10 bits, with one scaling list of which every entry follows from the one before
        bits.ue(2, 2, 2).u(1, 0).u(1, 1).u(1, 1).ue(*[0] * 16).u(7, 0)
    bits.ue(0, 0, 0, references).u(1, 0).ue(width // 16 - 1, height // 16 // (1 + interlaced) - 1)
    return bits.u(1, not interlaced).u(8, 0).unit(b'\x67')


def hevc_set(width, height, kept):
    bits = BitWriter().u(4, 0).u(3, 1).u(1, 1).u(88, 0).u(8, 153)  # two layers
    bits.u(2, 0b11).u(14, 0).u(88, 0).u(8, 120).ue(0, 1, width, height).u(1, 1).ue(0, 0, 0, 4).ue(2, 2, 4)
    return bits.u(1, 1).ue(1, 0, 0, kept - 1, 2, 0).unit(b'\x42\x01')


@pytest.mark.parametrize(
    ('codec', 'unit', 'stated'),
    [
        ('h264', h264_set(5824, 4320, 16), (5824, 4320, 12, 16)),
        ('h264', h264_set(1920, 1088, 4, profile=122, interlaced=True), (1920, 1088, 32, 4)),
        ('hevc', hevc_set(4096, 2160, 6), (4096, 2160, 24, 6)),
    ],
)
def test_a_parameter_set_is_read_in_a_header_a_byte_stream_and_a_packet(codec, unit, stated):
    size = len(unit).to_bytes(2, 'big')
    in_h264 = b'\1' + unit[1:4] + b'\xff\xe1' + size + unit
    in_hevc = b'\1' + bytes(20) + b'\xff\1' + bytes([33]) + b'\0\1' + size + unit
    in_packet = b'\0\0\0\2\x09\xf0' + b'\0\0' + size + unit + b'\0\0\0\1\x65'
    for data, length_bytes in (
        (in_h264 if codec == 'h264' else in_hevc, 0),
        (b'\0\0\0\1\x09\xf0\0\0\1' + unit + b'\0\0\1\x68\xce', 0),
        (in_packet, 4),
    ):
        sets = parameter_sets(codec, data, length_bytes)
        assert [(each.width, each.height, each.bits_a_pixel, each.references) for each in sets] == [stated]
    assert parameter_sets(codec, b'\0\0\1' + unit[:6]) == []
    assert parameter_sets('vp9', b'\0\0\1' + unit) == []


def test_a_set_with_the_longest_scaling_lists_is_read_to_its_references():
    # 4:4:4: six lists of 16 and six of 64, each entry 127 less or more than the last: 15 bits, 900 bytes in all
    bits = BitWriter().u(8, 244).u(16, 0).ue(0, 3).u(1, 0).ue(0, 0).u(2, 0b01)
    for size in [16] * 6 + [64] * 6:
        bits.u(1, 1).ue(*[254, 253] * (size // 2))
    unit = bits.ue(0, 2, 16).u(1, 0).ue(9, 9).u(1, 1).unit(b'\x67')
    assert len(unit) > 900
    (stated,) = parameter_sets('h264', b'\0\0\1' + unit)
    assert (stated.width, stated.height, stated.references) == (160, 160, 16)


def test_sets_end_where_the_next_unit_begins_and_absurd_numbers_are_damage():
    # the beginning of a set, then another unit: what follows is not read as a part of it
    whole = h264_set(1920, 1088, 4)
    assert parameter_sets('h264', b'\0\0\1' + whole[:5] + b'\0\0\1' + whole) == parameter_sets(
        'h264', b'\0\0\1' + whole
    )
    # a width of 2**1000 could not even be named in an error
    bits = BitWriter().u(8, 66).u(16, 0).ue(0, 0, 2, 1).u(1, 0).ue(2**1000, 9).u(1, 1)
    assert parameter_sets('h264', b'\0\0\1' + bits.unit(b'\x67')) == []


def film_with_references(path, references):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25, options={'x264-params': f'ref={references}:bframes=0'})
        stream.width, stream.height, stream.pix_fmt = 320, 240, 'yuv420p'
        for image in numbered_images(3, 320, 240):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path


def memory_of(pictures):
    return 320 * 240 * (12 * pictures // 8 + 6)


@pytest.mark.parametrize('ending', ['mp4', 'mkv', 'ts'])
def test_a_film_is_refused_by_the_references_that_it_states_before_a_picture_is_decoded(tmp_path, ending):
    path = film_with_references(tmp_path / f'a.{ending}', 16)
    Recording.open(path, Limits(max_picture_bytes=memory_of(18)))
    with pytest.raises(LimitError, match='18 frames of 320x240'):
        Recording.open(path, Limits(max_picture_bytes=memory_of(18) - 1))


def test_references_that_a_later_packet_states_are_refused_before_its_pictures_are_decoded(tmp_path):
    few, many = (film_with_references(tmp_path / f'{count}.ts', count).read_bytes() for count in (1, 16))
    joined = few + many
    assert len(list(Recording.open(joined, Limits(max_picture_bytes=memory_of(18))).frames())) >= 3
    recording = Recording.open(joined, Limits(max_picture_bytes=memory_of(18) - 1))
    with pytest.raises(LimitError, match='18 frames of 320x240'):
        list(recording.frames())


def test_large_pictures_get_few_threads_and_those_near_the_limit_a_single_one(monkeypatch):
    monkeypatch.setattr('os.cpu_count', lambda: 64)

    def threads(width, height, name='h264'):
        context = SimpleNamespace(
            width=width, height=height, pix_fmt='yuv420p', name=name, extradata=None, reorder_depth=0
        )
        return decoder_threads(context, Limits())

    assert threads(1280, 720) == 16
    assert threads(3840, 2160) == 5
    assert threads(3840, 2160, 'libdav1d') == 1  # 8 pictures of 12 MB a thread
    assert threads(5760, 4320) == 1


@pytest.mark.parametrize(('kind', 'is_open', 'flushes'), [('video', True, 1), ('video', False, 0), ('audio', True, 0)])
def test_a_decoder_lets_go_of_its_pictures_before_its_file_is_closed(kind, is_open, flushes):
    happened = []
    context = SimpleNamespace(is_open=is_open, flush_buffers=lambda: happened.append('flush'))
    closing = SimpleNamespace(close=lambda: happened.append('close'))
    OpenStream(closing, SimpleNamespace(type=kind, codec_context=context), closing, None).close()
    assert happened == ['flush'] * flushes + ['close', 'close']
