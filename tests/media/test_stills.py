"""Photographs of every format are read whole and upright, told from films, and refused where rows are missing."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from heif_files import write_heic
from PIL import Image

from affekt.containers.endings import STILL_ENDINGS, endings_of
from affekt.errors import LimitError, MediaError, MissingExtraError
from affekt.media import Recording
from affekt.media.synthetic import numbered_image, numbered_images, read_number, upright_corner
from affekt.media.writing import write_video

NUMBER = 345_678
EXIF_ORIENTATION = 0x0112


@pytest.fixture
def picture():
    return Image.fromarray(numbered_image(NUMBER, 240, 160))


def encoded(image, kind, **how):
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'BMP', 'WEBP', 'TIFF', 'GIF', 'AVIF'])
def test_a_photograph_of_every_format_is_a_still(picture, kind):
    recording = Recording.open(encoded(picture, kind))
    (frame,) = recording.frames()
    assert recording.is_still
    assert (recording.kind, recording.duration_s, recording.video.codec) == ('image', 0.0, kind.lower())
    assert read_number(frame.image) == NUMBER
    assert recording.decoded.is_complete


def test_every_format_of_photographs_has_endings_that_fit(picture, tmp_path):
    for kind, endings in STILL_ENDINGS.items():
        if kind == 'HEIF':
            continue
        (tmp_path / f'a{endings[0]}').write_bytes(encoded(picture, kind))
        assert Recording.open(tmp_path / f'a{endings[0]}').decoded.remarks == ()
    assert '.gif' in endings_of('gif')


@pytest.mark.parametrize('tile', [None, 128])
@pytest.mark.parametrize('quarter_turns', [0, 1, 3])
@pytest.mark.parametrize('brand', [b'heic', b'mif1'])
def test_a_heic_is_read_whole_and_upright(tmp_path, tile, quarter_turns, brand):
    # irot says how often the coded picture is turned counter-clockwise to be upright
    coded = np.rot90(numbered_image(NUMBER, 240, 160), -quarter_turns)
    path = write_heic(tmp_path / 'a.heic', coded, tile=tile, quarter_turns=quarter_turns, brand=brand)
    recording = Recording.open(path)
    (frame,) = recording.frames(max_side=200)
    assert recording.is_still
    assert (recording.video.width, recording.video.height) == (240, 160)
    assert frame.image.shape == (133, 200, 3)
    assert read_number(frame.image) == NUMBER
    assert upright_corner(frame.image) == 'top left'
    assert recording.decoded.sentences == ()


@pytest.mark.parametrize('name', ['pictures/heic_with_exif_crashes.heic', 'folders/mixed_endings/e.heic'])
def test_a_heic_of_the_shared_data_is_one_picture(shared_data, name):
    path = shared_data / 'faults' / name
    if not path.is_file():
        pytest.skip('this release of the shared data has no such file')
    recording = Recording.open(path)
    (frame,) = recording.frames()
    assert recording.is_still
    assert frame.image.shape == (393, 400, 3)


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_a_heic_is_turned_as_exif_says_only_where_it_states_no_turn_itself(tmp_path, orientation):
    undone = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]  # quarter turns, counter-clockwise, that were made before
    coded = np.rot90(numbered_image(NUMBER, 240, 160), undone)
    path = write_heic(tmp_path / 'a.heic', coded, quarter_turns=None, orientation=orientation)
    recording = Recording.open(path)
    (frame,) = recording.frames()
    assert (recording.video.width, recording.video.height) == (240, 160)
    assert read_number(frame.image) == NUMBER
    assert len(recording.decoded.sentences) == (orientation != 1)
    both = Recording.open(write_heic(path, np.rot90(coded, -1), quarter_turns=1, orientation=orientation))
    assert next(both.frames()).image.shape == coded.shape


def test_without_pi_heif_a_heic_is_refused_by_name(tmp_path, monkeypatch):
    path = write_heic(tmp_path / 'a.heic', numbered_image(NUMBER, 64, 64))
    monkeypatch.setitem(sys.modules, 'pi_heif', None)
    with pytest.raises(MissingExtraError, match=r'HEIC.*pip install pi-heif'):
        Recording.open(path)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'])
def test_the_exif_orientation_is_followed(picture, kind, orientation):
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation to the Transpose that undoes it
    coded = picture if orientation == 1 else picture.transpose(Image.Transpose(undone[orientation]))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    recording = Recording.open(encoded(coded, kind, exif=exif))
    (frame,) = recording.frames()
    assert (recording.video.width, recording.video.height) == (240, 160)
    assert read_number(frame.image) == NUMBER


@pytest.mark.parametrize('kind', ['GIF', 'PNG', 'AVIF'])
def test_several_pictures_are_a_film(kind):
    pictures = [Image.fromarray(image) for image in numbered_images(4, 160, 120)]
    content = encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=100)
    recording = Recording.open(content)
    frames = list(recording.frames())
    assert recording.kind == 'video'
    assert [read_number(frame.image) for frame in frames] == [0, 1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3], abs=0.005)


def test_a_sequence_of_heif_is_a_film(tmp_path):
    content = bytearray(write_video(tmp_path / 'a.mp4', numbered_images(4), 10).read_bytes())
    content[8:12] = b'msf1'
    assert Recording.open(bytes(content)).kind == 'video'


@pytest.mark.parametrize(
    ('kind', 'remark'),
    [
        ('TIFF', 'it holds 3 images, and only the first is read'),
        ('WEBP', 'an animation of 3 images, of which only the first is read; convert it to mp4 or GIF'),
    ],
)
def test_pages_that_are_not_read_are_counted(kind, remark):
    pages = [Image.fromarray(image) for image in numbered_images(3, 160, 120)]
    recording = Recording.open(encoded(pages[0], kind, save_all=True, append_images=pages[1:]))
    assert read_number(next(recording.frames()).image) == 0
    assert recording.decoded.remarks == (remark,)


@pytest.mark.parametrize(
    ('head', 'name'),
    [
        (b'\0\0\0\x0cJXL \r\n\x87\n', 'JPEG XL'),
        (b'\xff\x0a', 'JPEG XL'),
        (b'8BPS', 'Photoshop'),
        (b'II*\0\x10\0\0\0CR\x02', 'CR2'),
        (b'%PDF-1.7', 'PDF'),
    ],
)
def test_a_format_that_is_not_read_is_refused_by_its_name(head, name):
    with pytest.raises(MediaError, match=name):
        Recording.open(head + bytes(500))


def test_the_preview_of_a_raw_file_is_not_taken_for_the_photograph(picture):
    with pytest.raises(MediaError, match='raw file'):
        Recording.open(encoded(picture, 'TIFF', tiffinfo={254: 1}))


def png_with(picture, keep_rows, level=6):
    """A PNG whose pixel data end after some rows, all its check sums right."""
    rows = np.asarray(picture.convert('L'))[:keep_rows]
    pixels = b''.join(b'\0' + row.tobytes() for row in rows)
    head = struct.pack('>IIBBBBB', *picture.size, 8, 0, 0, 0, 0)
    chunks = [(b'IHDR', head), (b'IDAT', zlib.compress(pixels, level)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data)) for name, data in chunks
    )


def test_a_png_with_fewer_rows_than_declared_is_refused_with_both_numbers(picture):
    assert read_number(next(Recording.open(png_with(picture, 160)).frames()).image) == NUMBER
    for kept in (0, 1, 80, 159):
        with pytest.raises(MediaError, match=f': {kept} of 160 rows'):
            list(Recording.open(png_with(picture, kept)).frames())


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16'])
def test_a_whole_png_of_any_kind_of_pixel_is_whole(picture, mode):
    image = Image.fromarray(np.full((37, 53), 40_000, np.uint16)) if mode == 'I;16' else picture.convert(mode)
    recording = Recording.open(encoded(image, 'PNG'))
    assert len(list(recording.frames())) == 1
    assert recording.decoded.is_complete


def test_an_interlaced_png_of_a_few_pixels_is_whole_and_cut_rows_are_counted():
    # 3 x 2 pixels in Adam7: passes of 1x1, 1x1 (column 2 of step 4 is none at width 3), so 1, 0, 0, 1, 0, 1, 1 rows:
    # pass 1: pixel (0,0); 4: pixel (2,0); 6: pixel (1,0); 7: row 1 of 3 pixels; each row has its filter byte
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    head = struct.pack('>IIBBBBB', 3, 2, 8, 0, 0, 0, 1)
    passes = bytes([0, 0]) + bytes([0, 2]) + bytes([0, 1]) + bytes([0, 3, 4, 5])

    def png(data):
        chunks = [(b'IHDR', head), (b'IDAT', zlib.compress(data)), (b'IEND', b'')]
        return b'\x89PNG\r\n\x1a\n' + b''.join(
            struct.pack('>I', len(d)) + n + d + struct.pack('>I', zlib.crc32(n + d)) for n, d in chunks
        )

    image = next(Recording.open(png(passes)).frames()).image
    assert image[..., 0].tolist() == np.asarray(picture).tolist()
    with pytest.raises(MediaError, match='3 of 4 rows of its seven passes'):
        list(Recording.open(png(passes[:6])).frames())


def test_a_png_whose_pixels_fail_their_check_sum_is_refused(picture):
    content = bytearray(png_with(picture, 160, level=0))
    content[content.find(b'IDAT') + 2000] ^= 0x40
    with pytest.raises(MediaError, match='check sum'):
        list(Recording.open(bytes(content)).frames())


@pytest.mark.parametrize('how', [{}, {'progressive': True}, {'optimize': True}, {'subsampling': 0}])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_a_jpeg_that_ends_early_is_refused_though_its_end_is_marked(picture, how, mode):
    content = encoded(picture.convert(mode), 'JPEG', quality=90, **how)
    assert Recording.open(content).is_still
    assert next(Recording.open(content + bytes(9000)).frames()).image.shape == (160, 240, 3)
    for share in (0.3, 0.7, 0.97):
        short = content[: int(len(content) * share)]
        for cut in (short, short + b'\xff\xd9'):
            with pytest.raises(MediaError):
                list(Recording.open(cut).frames())


@pytest.mark.parametrize('kind', ['BMP', 'WEBP', 'TIFF', 'GIF', 'AVIF'])
def test_a_photograph_that_is_cut_short_is_refused(picture, kind):
    content = encoded(picture, kind)
    for share in (0.3, 0.6, 0.95):
        with pytest.raises(MediaError):
            list(Recording.open(content[: int(len(content) * share)]).frames())


@pytest.mark.parametrize('kind', ['JPEG', 'WEBP', 'AVIF'])
def test_zeros_inside_a_coded_picture_are_counted(rng, kind):
    noise = Image.fromarray(rng.integers(0, 255, (200, 300, 3), np.uint8))
    content = encoded(noise, kind, quality=85)
    start = len(content) - 2002
    zeroed = (
        content[:start] + bytes(2000) + content[start + 2000 :] if kind == 'JPEG' else content[:start] + bytes(2002)
    )
    recording = Recording.open(zeroed)
    try:
        (frame,) = recording.frames()
    except MediaError:
        return  # decoders differ in what they refuse by themselves
    assert frame.is_damaged
    assert not recording.decoded.is_complete
    assert '200' in recording.decoded.sentences[0]
    assert 'bytes of zeros' in recording.decoded.sentences[0]


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'AVIF', 'GIF', 'TIFF'])
def test_a_blank_photograph_is_whole(kind):
    how = {'optimize': True} if kind == 'JPEG' else {}
    recording = Recording.open(encoded(Image.new('RGB', (1500, 1000), (255, 255, 255)), kind, **how))
    assert next(recording.frames()).image.min() >= 250
    assert recording.decoded.is_complete


@pytest.mark.parametrize('kind', ['WEBP', 'AVIF'])
def test_a_few_bytes_that_declare_millions_of_pixels_are_refused_before_they_take_memory(kind):
    how = {'lossless': True} if kind == 'WEBP' else {}
    content = encoded(Image.new('RGB', (5900, 5900)), kind, **how)
    with pytest.raises(LimitError, match='pixels in an image of a file'):
        Recording.open(content)


def test_a_gif_of_a_few_bytes_and_many_large_pictures_is_refused():
    # pictures of one pixel, each shown for 0.1 s, on a canvas of 2900 x 2900
    def head(side):
        return b'GIF89a' + struct.pack('<HHBBB', side, side, 0x80, 0, 0) + bytes(3) + b'\xff' * 3

    pixel = b'!\xf9\x04\0\x0a\0\0\0' + b',' + struct.pack('<HHHHB', 0, 0, 1, 1, 0) + b'\x02\x02\x44\x01\0'
    assert len(list(Recording.open(head(2900) + 3 * pixel + b';').frames())) == 3
    with pytest.raises(LimitError, match='pixels in all images'):
        Recording.open(head(2900) + 200 * pixel + b';')
    with pytest.raises(LimitError, match='pixels in an image of a file'):
        Recording.open(head(5999) + pixel + b';')


@pytest.mark.parametrize('kind', ['GIF', 'PNG'])
def test_a_film_of_pictures_that_is_cut_short_says_so(kind):
    pictures = [Image.fromarray(image) for image in numbered_images(6, 160, 120)]
    content = encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=100)
    whole = Recording.open(content)
    assert len(list(whole.frames())) == 6
    assert whole.decoded.is_complete
    assert whole.decoded.sentences == ()
    for share in (0.8, 0.9):
        short = Recording.open(content[: int(len(content) * share)])
        assert 0 < len(list(short.frames())) < 6
        assert 'cut short' in short.decoded.sentences[0]
        assert not short.decoded.is_complete


def test_what_lies_behind_the_end_of_a_gif_is_counted():
    pictures = [Image.fromarray(image) for image in numbered_images(2, 160, 120)]
    content = encoded(pictures[0], 'GIF', save_all=True, append_images=pictures[1:], duration=100)
    recording = Recording.open(content + content)
    list(recording.frames())
    assert recording.decoded.sentences[0] == f'{len(content):,} bytes after the end of the GIF are not read'


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('options', [{}, {'progressive': True}])
def test_what_follows_a_picture_in_its_file_is_said_with_its_bytes(kind, options):
    target = io.BytesIO()
    Image.effect_noise((90, 70), 80).convert('RGB').save(target, format=kind, **options)
    picture = target.getvalue()
    for extra, is_said in ((b'', False), (bytes(500), False), (b'\0\0\0\x18ftypmp42' + b'film' * 500, True)):
        recording = Recording.open(picture + extra)
        assert recording.is_still
        list(recording.frames())
        lines = [line for line in recording.decoded.sentences if line.startswith(f'not read: {len(extra):,} bytes')]
        assert bool(lines) is is_said


def test_a_picture_that_is_cut_is_refused_without_the_names_of_objects():
    target = io.BytesIO()
    Image.effect_noise((90, 70), 80).convert('RGB').save(target, format='TIFF', compression='tiff_lzw')
    with pytest.raises(MediaError) as refused:
        list(Recording.open(target.getvalue()[: len(target.getvalue()) // 2]).frames())
    assert ' object at ' not in str(refused.value)
