"""Pipes, connections that break, pictures that change their size, and sources that are not there."""

from __future__ import annotations

import io
import math
import os
import sys
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler
from types import SimpleNamespace

import av
import numpy as np
import pytest
from live_streams import HandClock, fed_pipe, grey_frames, transport_stream
from PIL import Image

import affekt
from affekt.errors import LimitError, MediaError
from affekt.live import LiveSource, StreamSettings, cameras, connections, name_of
from affekt.live.cameras import Camera, camera_input
from affekt.live.connections import DRIFT_S, _Blocks, _has_end
from affekt.live.feeds import GivenFeed, merged
from affekt.live.pipes import PipeBytes
from affekt.live.sources import STDIN
from affekt.media import Block, Frame, Limits
from affekt.media.synthetic import numbered_image, read_number

PATIENT = StreamSettings(pace='as fast as read')


def _read(source: LiveSource) -> tuple[list, list]:
    """All pictures and blocks of a source, which loses none."""
    pictures, blocks = [], []

    def take(box, units) -> None:
        while not box.is_over:
            arrived = box.take(0.02)
            units.extend([] if arrived is None else [arrived.unit])

    source.start()
    threads = [
        threading.Thread(target=take, args=pair) for pair in ((source.pictures, pictures), (source.sound, blocks))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.stop()
    if source.error is not None:
        raise source.error
    return pictures, blocks


def test_a_named_pipe_gives_every_picture_and_all_sound(tmp_path):
    writer = fed_pipe(tmp_path / 'pipe', transport_stream(((160, 120),) * 15, with_sound=True))
    pictures, blocks = _read(LiveSource(tmp_path / 'pipe', PATIENT))
    writer.join()
    assert [read_number(picture.image) for picture in pictures] == list(range(15))
    assert np.diff([picture.time_s for picture in pictures]) == pytest.approx(np.full(14, 0.04))
    samples = np.concatenate([block.samples for block in blocks])
    assert len(samples) / 16000 == pytest.approx(0.6, abs=0.08)  # the coder fills its last frame
    assert np.sqrt(np.mean(samples[3200:6400] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_a_stream_whose_pictures_change_their_size_goes_on(tmp_path):
    sizes = ((160, 120),) * 20 + ((240, 160),) * 6
    writer = fed_pipe(tmp_path / 'pipe', transport_stream(sizes))
    pictures, _ = _read(LiveSource(tmp_path / 'pipe', PATIENT))
    writer.join()
    assert [picture.image.shape[1] for picture in pictures] == [160] * 19 + [240] * 6
    # the decoder holds one picture back, and gives it up where another stream begins
    assert [read_number(picture.image) for picture in pictures] == [*range(19), *range(20, 26)]
    times = np.array([picture.time_s for picture in pictures])
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(1.0, abs=0.05)  # although the sender began again at 0


def _referring(references: int) -> bytes:
    """Three pictures of 160x128 in H.264, each of which may refer to so many before it."""
    file = io.BytesIO()
    with av.open(file, 'w', format='mpegts') as container:
        options = {'x264-params': f'ref={references}:bframes=0', 'tune': 'zerolatency'}
        video = container.add_stream('libx264', rate=25, options=options)
        video.width, video.height, video.pix_fmt = 160, 128, 'yuv420p'
        for number in range(3):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered_image(number, 160, 128))))
        container.mux(video.encode())
    return file.getvalue()


@pytest.mark.parametrize('before', [0, 1])
def test_a_stream_that_states_too_many_references_at_any_time_is_refused(before, tmp_path, monkeypatch):
    most = 160 * 128 * (12 * 18 // 8 + 6)  # 16 that others refer to and 2, of 12 bits a pixel, and two as RGB
    for limit, is_read in ((most, True), (most - 1, False)):
        monkeypatch.setattr(connections, 'Limits', lambda limit=limit: Limits(max_picture_bytes=limit))
        path = tmp_path / f'pipe-{limit}'
        writer = fed_pipe(path, before * _referring(1) + _referring(16))
        if is_read:
            assert len(_read(LiveSource(path, PATIENT))[0]) >= 3
        else:
            with pytest.raises(LimitError, match='18 frames of 160x128'):
                _read(LiveSource(path, PATIENT))
        writer.join()


def test_an_empty_pipe_is_an_error_of_one_sentence(tmp_path):
    writer = fed_pipe(tmp_path / 'pipe', b'')
    with pytest.raises(MediaError, match='nothing: it is empty'):
        LiveSource(tmp_path / 'pipe', PATIENT).start()
    writer.join()


def test_an_empty_standard_input_is_an_error_of_one_sentence(monkeypatch):
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr('sys.stdin', stdin)
        with pytest.raises(MediaError, match='a stream on standard input; got nothing: it is empty'):
            LiveSource(STDIN).start()


def test_standard_input_that_is_closed_is_an_error_of_one_sentence(monkeypatch):
    monkeypatch.setattr('sys.stdin', None)
    with pytest.raises(MediaError, match='pipe a video into the command'):
        LiveSource(STDIN).start()


def test_noise_on_a_pipe_is_an_error_of_one_sentence(tmp_path, rng):
    writer = fed_pipe(tmp_path / 'pipe', rng.integers(0, 256, 100_000, np.uint8).tobytes())
    with pytest.raises(MediaError, match='expected a source that can be opened'):
        LiveSource(tmp_path / 'pipe', PATIENT).start()
    writer.join(0.0)


def test_what_comes_through_a_pipe_opens_no_other_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clip.ts').write_bytes(transport_stream())
    writer = fed_pipe(tmp_path / 'pipe', b'ffconcat version 1.0\nfile clip.ts\n')
    with pytest.raises(MediaError, match='expected a source that can be opened'):
        LiveSource(tmp_path / 'pipe', PATIENT).start()
    writer.join()


def test_a_picture_is_no_stream(tmp_path):
    Image.new('RGB', (64, 48)).save(tmp_path / 'face.png')
    with pytest.raises(MediaError, match=r'an image: face\.png; read images with `affekt analyze`'):
        LiveSource(tmp_path / 'face.png').start()


def test_a_pipe_that_nobody_writes_to_can_be_stopped(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    stop = threading.Event()
    with PipeBytes.named(tmp_path / 'pipe', stop) as pipe:
        stop.set()
        pipe.wait_for_bytes()
        assert pipe.read() == b''


class _Camera:
    """A camera that shows so many frames each time it is opened, and is then gone."""

    is_finite, slack_s, has_pictures, has_sound, rate_hz = False, None, True, False, 25.0

    def __init__(self, frames: int, error: MediaError | None) -> None:
        self._frames, self._error = frames, error

    def __iter__(self):
        yield from grey_frames(self._frames)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        pass


GONE = MediaError(expected='a stream that goes on', came='camera 0: No such device', todo='check it')


def _source_of(openings: list, monkeypatch, **settings) -> LiveSource:
    """A source whose connections come from a list: feeds, or the errors of opening them."""
    source = LiveSource(0, PATIENT.changed(settings), HandClock())
    left = iter(openings)

    def opened():
        feed = next(left)
        if isinstance(feed, MediaError):
            raise feed
        return feed

    monkeypatch.setattr(source, '_opened', opened)
    return source


def test_a_camera_that_disappears_and_comes_back_is_read_on(monkeypatch):
    source = _source_of([_Camera(3, GONE), GONE, _Camera(2, GONE), GONE, GONE], monkeypatch, reconnects=2)
    pictures, _ = _read(source)
    assert (len(pictures), source.reconnects) == (5, 1)
    assert source._clock.waits == pytest.approx([0.5, 1.0, 0.5, 1.0])
    assert source.loss == 'was lost after 0.0 s and did not come back: No such device'
    assert source.notes == [f'the source {source.loss}']


def test_a_stream_that_ends_is_opened_again_a_few_times_with_growing_pauses(monkeypatch):
    source = _source_of([_Camera(0, None)] * 9, monkeypatch, reconnects=6)
    assert _read(source) == ([], [])
    assert source._clock.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_camera_that_opens_and_shows_nothing_is_not_tried_more_often(monkeypatch):
    source = _source_of([_Camera(0, GONE), GONE, GONE, _Camera(0, GONE), GONE, GONE], monkeypatch, reconnects=4)
    assert _read(source) == ([], [])
    assert source._clock.waits == [0.5, 1.0, 2.0, 4.0]


def test_a_microphone_that_goes_on_does_not_hide_that_a_camera_shows_nothing(monkeypatch):
    class Deaf(_Camera):
        """A camera that shows nothing, while sound is heard."""

        def __iter__(self):
            source._deliver(Block(0.0, np.zeros(1600, np.float32)), False)
            yield from ()

    source = _source_of([Deaf(0, None) for _ in range(4)], monkeypatch, reconnects=3)
    _read(source)
    assert source.reconnects == 3


def test_a_file_of_a_web_server_ends_although_it_does_not_state_how_long_it_is():
    class Container:
        """What FFmpeg says of a file that it cannot search."""

        duration, size = None, 5000

        def __init__(self, name: str) -> None:
            self.format = SimpleNamespace(name=name)

    assert _has_end(Container('mpegts'))
    assert not _has_end(Container('hls'))  # the size is the playlist's
    Container.size = -22
    assert not _has_end(Container('mpegts'))


def test_a_source_that_is_not_there_at_first_is_not_waited_for(monkeypatch):
    with pytest.raises(MediaError, match='No such device'):
        _source_of([GONE], monkeypatch).start()


def test_a_web_server_without_byte_ranges_is_named_where_an_mp4_file_needs_them(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (15, 240, 320, 3), dtype=np.uint8)
    with av.open(str(tmp_path / 'a.mp4'), 'w') as container:  # its index is at the end
        stream = container.add_stream('mjpeg', rate=25, width=320, height=240, pix_fmt='yuvj420p')
        for image in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode(None))
    monkeypatch.setattr(SimpleHTTPRequestHandler, 'log_message', lambda *_: None)
    with HTTPServer(('127.0.0.1', 0), lambda *each: SimpleHTTPRequestHandler(*each, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(MediaError, match='byte ranges'):
            _read(LiveSource(f'http://127.0.0.1:{server.server_port}/a.mp4', PATIENT))
        server.shutdown()


def test_an_unknown_camera_lists_those_there_are(monkeypatch):
    known = [Camera('/dev/video0', 'Integrated'), Camera('/dev/video2', 'Studio')]
    monkeypatch.setattr(sys.modules['affekt.live.cameras'], 'cameras', lambda system: known)
    with pytest.raises(MediaError, match=r"there are '/dev/video0 \(Integrated\)', '/dev/video2 \(Studio\)'"):
        camera_input(1, StreamSettings(), 'linux')


@pytest.mark.parametrize(
    ('system', 'known', 'number', 'opened'),
    [
        ('linux', [Camera('/dev/video2', '')], 2, ('/dev/video2', 'v4l2')),
        ('darwin', [Camera('0', 'FaceTime')], 0, ('0:default', 'avfoundation')),
        ('win32', [Camera('@device_a', 'A'), Camera('@device_b', 'B')], 1, ('video=@device_b:audio=default', 'dshow')),
    ],
)
def test_each_system_opens_a_camera_in_its_own_way(system, known, number, opened, monkeypatch):
    monkeypatch.setattr(sys.modules['affekt.live.cameras'], 'cameras', lambda system: known)
    settings = StreamSettings(camera_size='640x360', camera_rate_hz=25.0, microphone='default')
    file, device, options = camera_input(number, settings, system)
    assert (file, device) == opened
    assert options == {'video_size': '640x360', 'framerate': '25'}


def test_cameras_of_this_machine_can_be_listed():
    assert all(camera.address.startswith('/dev/video') for camera in cameras('linux'))


def test_names_hold_no_password():
    assert name_of('rtsp://user:secret@camera.local/stream1?token=x') == 'rtsp://camera.local/stream1'
    assert name_of('rtsp://user:se/cr@et@camera.local/stream1') == 'rtsp://camera.local/stream1'
    assert name_of('rtsp://user:se?cr@et@camera.local/stream1?token=x') == 'rtsp://camera.local/stream1'
    assert name_of('udp://@239.0.0.1:1234?ttl=2') == 'udp://239.0.0.1:1234'
    assert name_of('https://video.example/@channel/live.m3u8?k=1') == 'https://video.example/@channel/live.m3u8'
    assert name_of('udp://@239.0.0.1:1234') == 'udp://239.0.0.1:1234'
    names = [name_of(source) for source in (0, '-', 'a/b.mp4', [])]
    assert names == ['camera 0', 'standard input', 'b.mp4', 'frames']


def test_a_missing_file_is_an_error_of_one_sentence(tmp_path):
    with pytest.raises(MediaError, match=r'absent\.mp4'):
        LiveSource(tmp_path / 'absent.mp4').start()


def test_a_file_without_what_is_asked_for_is_an_error_of_one_sentence(tmp_path):
    path = tmp_path / 'clip.ts'
    path.write_bytes(transport_stream(((160, 120),) * 3))
    with pytest.raises(MediaError, match=r'expected audio in clip\.ts; got none'):
        LiveSource(path, StreamSettings(faces=False)).start()


@pytest.mark.parametrize('stamped_s', [0.098, 0.1, 0.102])
def test_sound_stays_near_its_timestamps_in_both_directions(stamped_s):
    blocks = _Blocks()
    made = []
    for number in range(600):  # tenths of a second by the samples, and a little more or less by the timestamps
        made += list(blocks.add(_silence(1600), number * stamped_s))
    assert abs(made[-1].start_s - 599 * stamped_s) <= DRIFT_S + 0.01
    assert len(made) == (590 if stamped_s < 0.1 else 600)  # of 1.2 s too many, 1 s is left out
    starts = [block.start_s for block in made]
    assert min(np.diff(starts)) == pytest.approx(0.1)


def test_sound_without_timestamps_is_timed_by_its_samples():
    blocks = _Blocks()
    made = [block for number in range(50) for block in blocks.add(_silence(800), number * 0.04, is_stamped=False)]
    assert [block.start_s for block in made] == pytest.approx(np.arange(25) * 0.1)


def _silence(samples: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.float32), format='flt', layout='mono')
    frame.sample_rate = 16000
    return frame


def test_units_of_several_streams_come_in_order_of_time():
    frames = grey_frames(3)
    blocks = iter([Block(0.0, np.zeros(800, np.float32)), Block(0.05, np.zeros(800, np.float32))])
    kinds = ['picture' if isinstance(unit, Frame) else 'sound' for unit in merged([frames, blocks])]
    assert kinds == ['picture', 'picture', 'sound', 'picture', 'sound']


def test_what_is_no_source_or_no_frame_is_an_error_of_one_sentence():
    with pytest.raises(MediaError, match='an iterable of frames; got NoneType'):
        affekt.stream(None)
    with pytest.raises(MediaError, match='got ndarray'):
        list(affekt.stream(np.zeros((2, 4, 4, 3), np.uint8), voice=False))
    with pytest.raises(MediaError, match='times in seconds; got nan'):
        list(GivenFeed([SimpleNamespace(time_s=math.nan, image=None)], PATIENT.changed({'fps': 5.0})))


def test_frames_and_blocks_may_be_objects_of_the_callers_own_also_in_real_time():
    block = SimpleNamespace(start_s=0.0, samples=np.zeros(1600, np.float32))
    frame = SimpleNamespace(time_s=0.1, image=np.zeros((64, 64, 3), np.uint8))
    pictures, blocks = _read(LiveSource([block, frame]))
    assert (pictures, blocks) == ([frame], [block])


def test_units_that_are_not_asked_for_are_left_out():
    units = [*grey_frames(2), Block(0.0, np.zeros(1600, np.float32))]
    assert [type(unit) for unit in GivenFeed(units, StreamSettings(voice=False))] == [Frame, Frame]
    assert [type(unit) for unit in GivenFeed(units, StreamSettings(faces=False))] == [Block]
