"""What travels beside a decoded frame: turns and mirrors are read, whatever else is there; no frame is kept for it."""

from __future__ import annotations

import gc
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.sidedata.sidedata import SideDataContainer
from PIL import Image, ImageOps

from affekt.media import Recording
from affekt.media.synthetic import numbered_image, numbered_images
from affekt.media.writing import write_video

ORIENTATION = 0x0112


def jpeg_with_exif(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010F] = 'a camera'
    out = io.BytesIO()
    Image.fromarray(numbered_image(7, 96, 64)).save(out, 'JPEG', quality=95, exif=exif)
    return out.getvalue()


def motion_jpeg(path, pictures):
    """A film of JPEG pictures as they are, as cameras write them."""
    with av.open(str(path), 'w') as film:
        stream = film.add_stream('mjpeg', rate=10, options={})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 96, 64, 'yuvj420p', Fraction(1, 10)
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 10)
            packet.is_keyframe = True
            film.mux(packet)
    return path


@pytest.mark.parametrize('suffix', ['.avi', '.mov', '.mkv'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_pictures_of_a_film_with_exif_come_upright(tmp_path, suffix, orientation):
    picture = jpeg_with_exif(orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(picture))).convert('RGB')).astype(int)
    frames = list(Recording.open(motion_jpeg(tmp_path / f'a{suffix}', [picture] * 3)).frames())
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2])
    for frame in frames:
        assert frame.image.shape == upright.shape
        assert np.abs(frame.image - upright).mean() < 4


def test_a_turn_that_changes_on_the_way_is_followed(tmp_path):
    film = Recording.open(motion_jpeg(tmp_path / 'a.avi', [jpeg_with_exif(o) for o in (1, 6, 6, 1)]))
    assert [frame.image.shape[:2] for frame in film.frames()] == [(64, 96), (96, 64), (96, 64), (64, 96)]


def test_a_frame_is_let_go_as_soon_as_it_was_converted(tmp_path):
    # frame and side data hold each other: with 40 lists, 40 pictures would wait for the collector of cycles
    recording = Recording.open(write_video(tmp_path / 'a.mp4', numbered_images(40), 10))
    gc.collect()
    gc.disable()
    try:
        assert len(list(recording.frames())) == 40
        assert sum(type(thing) is SideDataContainer for thing in gc.get_objects()) <= 2
    finally:
        gc.enable()


def test_the_files_that_ended_a_run_are_read(shared_data):
    film = shared_data / 'faults' / 'media' / 'mjpeg_with_exif_crashes.avi'
    if not film.is_file():
        pytest.skip('this release of the shared data has no such file')
    recording = Recording.open(film)
    assert len(list(recording.frames())) == 8
    assert recording.decoded.is_complete
