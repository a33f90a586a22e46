"""Decoded pictures are upright RGB with square pixels, whatever the pixel format, matrix, range, turn or size."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from affekt.media import Recording
from affekt.media.pictures import UPRIGHT, Orientation, orientation_of_matrix, upright_size
from affekt.media.synthetic import numbered_image, numbered_images, read_number, upright_corner
from affekt.media.writing import PictureStyle, write_image, write_video

COLOURS = [(200, 30, 40), (20, 180, 60), (30, 40, 210), (128, 128, 128), (250, 250, 250), (10, 10, 10)]


def flat(width, height):
    return [np.broadcast_to(np.uint8(colour), (height, width, 3)) for colour in COLOURS]


@pytest.mark.parametrize(
    ('codec', 'pixel_format', 'suffix'),
    [
        ('libx264', 'yuv420p', '.mp4'),
        ('libx264', 'yuv422p', '.mkv'),
        ('libx264', 'yuv444p', '.mkv'),
        ('libx264', 'yuv420p10le', '.mp4'),
        ('libx264rgb', 'rgb24', '.mkv'),
        ('mjpeg', 'yuvj420p', '.avi'),
        ('mjpeg', 'yuvj444p', '.mov'),
        ('ffv1', 'bgra', '.mkv'),
        ('ffv1', 'yuv410p', '.mkv'),
        ('ffv1', 'yuv444p16le', '.mkv'),
        ('png', 'rgba', '.mov'),
        ('png', 'rgb48be', '.mov'),
    ],
)
def test_colours_survive_every_pixel_format(tmp_path, codec, pixel_format, suffix):
    style = PictureStyle(codec, pixel_format, options={'crf': '1'} if 'x264' in codec else {'qmax': '2'})
    path = write_video(tmp_path / f'a{suffix}', flat(64, 64), 10, picture=style)
    found = [frame.image[32, 32].astype(int) for frame in Recording.open(path).frames()]
    assert np.abs(np.array(found) - COLOURS).max() <= 4


@pytest.mark.parametrize('pixel_format', ['gray', 'gray10le', 'gray16le'])
def test_grey_pictures_become_three_equal_channels(tmp_path, pixel_format):
    greys = [np.full((48, 48), level, np.uint8) for level in (20, 128, 235)]
    path = write_video(tmp_path / 'a.mkv', greys, 10, picture=PictureStyle('ffv1', pixel_format))
    found = np.array([frame.image[24, 24] for frame in Recording.open(path).frames()]).astype(int)
    assert np.abs(found - np.array([[20], [128], [235]])).max() <= 2


def test_a_palette_becomes_its_colours(tmp_path):
    Image.fromarray(np.asarray(flat(32, 32)[0])).convert('P', palette=Image.Palette.ADAPTIVE).save(tmp_path / 'a.png')
    Image.fromarray(np.asarray(flat(32, 32)[0])).save(tmp_path / 'a.gif')
    for name in ('a.png', 'a.gif'):
        image = next(Recording.open(tmp_path / name).frames()).image
        assert np.abs(image[16, 16].astype(int) - COLOURS[0]).max() <= 2


@pytest.mark.parametrize('height', [96, 720])
def test_an_unnamed_matrix_is_601_for_small_and_709_for_large_pictures(tmp_path, height):
    # the writer makes BT.601 below 720 rows and BT.709 from there, and names neither in the stream
    path = write_video(tmp_path / 'a.mp4', flat(64, height), 10, picture=PictureStyle(options={'crf': '1'}))
    found = [frame.image[height // 2, 32].astype(int) for frame in Recording.open(path).frames()]
    assert np.abs(np.array(found) - COLOURS).max() <= 4


@pytest.mark.parametrize('size', [(1, 1), (3, 5), (5, 3), (17, 31), (97, 73)])
@pytest.mark.parametrize('codec', ['mpeg4', 'png'])
def test_odd_sizes_keep_every_pixel(tmp_path, size, codec):
    width, height = size
    style = PictureStyle(codec, 'yuv420p' if codec == 'mpeg4' else 'rgb24')
    path = write_video(tmp_path / 'a.mov', flat(width, height), 10, picture=style)
    recording = Recording.open(path)
    images = [frame.image for frame in recording.frames()]
    assert (recording.video.width, recording.video.height) == size
    assert {image.shape for image in images} == {(height, width, 3)}
    assert np.abs(images[3].astype(int) - 128).max() <= 6
    assert recording.decoded.is_complete


@pytest.mark.parametrize('turn', [0, 90, 180, 270])
@pytest.mark.parametrize('is_mirrored', [False, True])
@pytest.mark.parametrize('extension', ['mp4', 'mov', 'mkv'])
def test_the_display_matrix_makes_pictures_upright(tmp_path, turn, is_mirrored, extension):
    # a camera that stores the picture so that the player's transform undoes it
    upright = numbered_image(1234, 96, 72)
    stored = np.rot90(upright, -turn // 90)
    if is_mirrored:
        stored = np.rot90(upright[:, ::-1], -turn // 90)
    style = PictureStyle(rotation_deg=turn, is_mirrored=is_mirrored)
    path = write_video(tmp_path / f'a.{extension}', [np.ascontiguousarray(stored)] * 3, 10, picture=style)
    recording = Recording.open(path)
    image = next(recording.frames()).image
    assert (recording.video.width, recording.video.height) == (96, 72)
    assert image.shape == (72, 96, 3)
    if not is_mirrored:
        assert recording.video.rotation_deg == turn
        assert upright_corner(image) == 'top left'
        assert read_number(image) == 1234
    else:
        # mirroring is applied after the turn in the matrix, so a mirrored picture has its number upright again
        # or upside down; both show exactly the pixels that went in
        candidates = [np.abs(c.astype(int) - upright).mean() for c in (image, image[::-1, ::-1])]
        assert min(candidates) < 10


@pytest.mark.parametrize(
    ('matrix', 'expected'),
    [
        ((1, 0, 0, 1), UPRIGHT),
        ((0, 0, 0, 0), UPRIGHT),
        ((0, -1, 1, 0), Orientation(True, False, True)),
        ((0, 1, -1, 0), Orientation(True, True, False)),
        ((-1, 0, 0, -1), Orientation(False, True, True)),
        ((-1, 0, 0, 1), Orientation(False, True, False)),
    ],
)
def test_a_matrix_becomes_axes_and_mirrors(matrix, expected):
    assert orientation_of_matrix(*matrix) == expected


def test_every_orientation_moves_pixels_as_its_matrix_says():
    # x' = a x + c y, y' = b x + d y, shifted to start at 0: a plain second implementation, pixel by pixel
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for a, b, c, d in ((1, 0, 0, 1), (0, -1, 1, 0), (0, 1, -1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (0, 1, 1, 0)):
        places = {(a * x + c * y, b * x + d * y): picture[y, x] for y in range(2) for x in range(3)}
        left, top = min(p[0] for p in places), min(p[1] for p in places)
        expected = np.zeros((3, 2, 3) if b else (2, 3, 3), np.uint8)
        for (x, y), pixel in places.items():
            expected[y - top, x - left] = pixel
        np.testing.assert_array_equal(orientation_of_matrix(a, b, c, d).apply(picture), expected)


def test_wide_pixels_become_square(tmp_path):
    style = PictureStyle(pixel_aspect=Fraction(4, 3))
    path = write_video(tmp_path / 'a.mp4', [numbered_image(9, 96, 96)] * 2, 10, picture=style)
    recording = Recording.open(path)
    image = next(recording.frames()).image
    # 96 stored columns, each 4/3 as wide as high
    assert image.shape == (96, 128, 3)
    assert (recording.video.width, recording.video.coded_width) == (128, 96)
    assert read_number(image) == 9


@pytest.mark.parametrize(('turn', 'expected'), [(0, (45, 80)), (90, (80, 45))])
def test_large_pictures_shrink_to_the_longest_side_asked_for(tmp_path, turn, expected):
    style = PictureStyle(rotation_deg=turn)
    path = write_video(tmp_path / 'a.mp4', numbered_images(2, 320, 180), 10, picture=style)
    images = [frame.image for frame in Recording.open(path).frames(max_side=80)]
    assert {image.shape for image in images} == {(*expected, 3)}
    assert next(Recording.open(path).frames(max_side=4000)).image.shape in {(180, 320, 3), (320, 180, 3)}


@pytest.mark.parametrize('mirrors_x', [False, True])
@pytest.mark.parametrize('mirrors_y', [False, True])
@pytest.mark.parametrize('swaps_axes', [False, True])
def test_the_stated_rotation_is_counter_clockwise_and_after_mirroring(swaps_axes, mirrors_x, mirrors_y):
    coded = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    orientation = Orientation(swaps_axes, mirrors_x, mirrors_y)
    is_mirrored = (swaps_axes + mirrors_x + mirrors_y) % 2 == 1
    turned = np.rot90(coded[:, ::-1] if is_mirrored else coded, orientation.rotation_deg // 90)
    np.testing.assert_array_equal(orientation.apply(coded), turned)


@pytest.mark.parametrize('orientation', [UPRIGHT, Orientation(True, True, False)])
def test_the_declared_size_is_the_size_that_comes(orientation):
    assert upright_size(100, 50, Fraction(2), orientation) == ((200, 50) if not orientation.swaps_axes else (50, 200))
    assert upright_size(100, 50, Fraction(1, 2), UPRIGHT) == (100, 100)
    assert upright_size(100, 50, Fraction(1), UPRIGHT, max_side=10) == (10, 5)
    assert upright_size(1000, 1, Fraction(1), UPRIGHT, max_side=10) == (10, 1)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_makes_photographs_upright(tmp_path, orientation):
    upright = numbered_image(321, 96, 72)
    # what a camera stores so that Exif orientation n shows it upright: the inverse of the viewer's transform
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1), 7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / 'a.jpg', exif=exif, quality=95)
    recording = Recording.open(tmp_path / 'a.jpg')
    image = next(recording.frames()).image
    assert (recording.video.width, recording.video.height) == (96, 72)
    assert upright_corner(image) == 'top left'
    assert read_number(image) == 321


def test_transparency_lies_on_white_and_deep_greys_keep_their_level(tmp_path):
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:, 4:] = (10, 20, 30, 255)
    Image.fromarray(clear).save(tmp_path / 'a.png')
    image = next(Recording.open(tmp_path / 'a.png').frames()).image
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 7].tolist() == [10, 20, 30]
    Image.fromarray(np.full((8, 8), 128 * 257, np.uint16)).save(tmp_path / 'deep.png')
    assert next(Recording.open(tmp_path / 'deep.png').frames()).image[3, 3].tolist() == [128, 128, 128]


def test_an_animated_photograph_says_that_one_picture_is_read(tmp_path):
    pictures = [Image.fromarray(numbered_image(n, 64, 48)) for n in range(3)]
    pictures[0].save(tmp_path / 'a.webp', save_all=True, append_images=pictures[1:], duration=100)
    recording = Recording.open(tmp_path / 'a.webp')
    assert sum(1 for _ in recording.frames()) == 1
    assert recording.decoded.sentences == (
        'an animation of 3 images, of which only the first is read; convert it to mp4 or GIF',
    )


def test_a_photograph_cut_short_raises(tmp_path):
    from affekt.errors import MediaError

    rough = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for name in ('a.jpg', 'a.png', 'a.webp', 'a.bmp'):
        content = write_image(tmp_path / name, rough).read_bytes()
        with pytest.raises(MediaError):
            list(Recording.open(content[: len(content) // 2]).frames())


def test_a_size_that_changes_on_the_way_is_followed(tmp_path):
    # two H.264 streams one after the other in one transport stream, as a camera that was turned makes them
    content = b''
    for width in (96, 128):
        part = tmp_path / f'{width}.mp4'
        write_video(part, numbered_images(5, width, 72), 10)
        whole = tmp_path / f'{width}.h264.ts'
        with av.open(str(part)) as source, av.open(str(whole), 'w', format='mpegts') as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.pts += 0 if width == 96 else round(Fraction(1, 2) / packet.time_base)
                    packet.dts += 0 if width == 96 else round(Fraction(1, 2) / packet.time_base)
                    packet.stream = stream
                    target.mux(packet)
        content += whole.read_bytes()
    shapes = [frame.image.shape for frame in Recording.open(content).frames()]
    assert shapes[0] == (72, 96, 3)
    assert shapes[-1] == (72, 128, 3)
