"""Videos are whole, in time with their sound, and go on where they were killed."""

from pathlib import Path

import av
import numpy as np
import pytest

from affekt.errors import MediaError, UnknownNameError
from affekt.files import part_of
from affekt.media import Recording, write_video
from affekt.media.synthetic import clicks, find_clicks, numbered_image, read_number
from affekt.reenactment.motion import Motion, MotionFrame
from affekt.reenactment.output import WINDOWS_SUFFIX, write_reenactment

SETTINGS = {'portrait': 'a', 'driver': 'b'}


class Numbering:
    """Draws the number of the frame, by its time at 25 a second."""

    def __init__(self, width=64, height=48, fails_at=None, threads=1):
        self.width, self.height, self.fails_at, self.threads = width, height, fails_at, threads
        self.drawn = []

    def picture(self, frame):
        number = round(frame.time_s * 25)
        if number == self.fails_at:
            raise KeyboardInterrupt
        self.drawn.append(number)
        return numbered_image(number, self.width, self.height)

    def shows_driver(self, frame):
        return frame.time_s > 0.5


def motion(count, times=None, sound=None):
    times = np.arange(count) / 25 if times is None else times
    return Motion((MotionFrame(float(time)) for time in times), 25.0, count, sound)


def shown(path):
    return [(read_number(frame.image), frame.time_s) for frame in Recording.open(path).frames()]


def test_windows_join_to_one_video_of_all_pictures(tmp_path):
    done = []
    out = tmp_path / 'new' / 'out.mp4'
    made = write_reenactment(out, Numbering(), motion(23), depends_on=SETTINGS, window=10,
                             progress=lambda *step: done.append(step))  # fmt: skip
    assert [number for number, _ in shown(out)] == list(range(23))
    assert [time_s for _, time_s in shown(out)] == pytest.approx(np.arange(23) / 25, abs=1e-4)
    assert (made.pictures, made.resumed, made.has_sound, made.shows_driver) == (23, 0, False, True)
    assert made.seconds == pytest.approx(0.92, abs=1e-6)
    assert done[-1] == ('pictures', 23, 23)
    assert [path.name for path in out.parent.iterdir()] == ['out.mp4']


@pytest.mark.parametrize('threads', [1, 2])
def test_a_killed_run_goes_on_with_the_window_it_was_at(tmp_path, threads):
    out = tmp_path / 'out.mp4'
    killed = Numbering(fails_at=17, threads=threads)
    with pytest.raises(KeyboardInterrupt):
        write_reenactment(out, killed, motion(23), depends_on=SETTINGS, window=5)
    assert not out.exists()
    again = Numbering()
    made = write_reenactment(out, again, motion(23), depends_on=SETTINGS, window=5)
    assert again.drawn == list(range(15, 23))
    assert made.resumed == 15
    assert [number for number, _ in shown(out)] == list(range(23))


def test_two_threads_write_the_video_that_one_writes(tmp_path):
    for threads in (1, 2):
        drawing = Numbering(threads=threads)
        write_reenactment(tmp_path / f'{threads}.mp4', drawing, motion(60), depends_on=SETTINGS, window=25)
        assert sorted(drawing.drawn) == list(range(60))
    assert (tmp_path / '1.mp4').read_bytes() == (tmp_path / '2.mp4').read_bytes()


def test_a_run_with_other_settings_begins_anew(tmp_path):
    out = tmp_path / 'out.mp4'
    with pytest.raises(KeyboardInterrupt):
        write_reenactment(out, Numbering(fails_at=7), motion(9), depends_on=SETTINGS, window=3)
    assert part_of(out, WINDOWS_SUFFIX).is_dir()
    again = Numbering()
    write_reenactment(out, again, motion(9), depends_on={**SETTINGS, 'driver': 'c'}, window=3)
    assert again.drawn == list(range(9))
    assert not part_of(out, WINDOWS_SUFFIX).exists()


def test_a_window_that_was_damaged_is_drawn_again(tmp_path):
    out = tmp_path / 'out.mp4'
    with pytest.raises(KeyboardInterrupt):
        write_reenactment(out, Numbering(fails_at=8), motion(9), depends_on=SETTINGS, window=3)
    damaged = next(part_of(out, WINDOWS_SUFFIX).glob('window_00001/*'))
    damaged.write_bytes(damaged.read_bytes()[:100])
    again = Numbering()
    write_reenactment(out, again, motion(9), depends_on=SETTINGS, window=3)
    assert again.drawn == [3, 4, 5, 6, 7, 8]


def test_uneven_times_of_the_driver_are_kept(tmp_path):
    times = np.array([0, 1, 2, 5, 6, 12, 13, 20]) / 25
    out = tmp_path / 'out.mp4'
    write_reenactment(out, Numbering(), motion(8, times), depends_on=SETTINGS, window=3)
    assert [number for number, _ in shown(out)] == [0, 1, 2, 5, 6, 12, 13, 20]
    assert [time_s for _, time_s in shown(out)] == pytest.approx(times, abs=1e-4)


@pytest.mark.parametrize(
    ('name', 'count'), [('driver.mp4', 50), ('driver.mkv', 50), ('driver.avi', 50), ('driver.mp4', 5)]
)
def test_the_sound_of_the_driver_is_heard_at_its_time_and_no_longer_than_the_pictures(tmp_path, name, count):
    heard_s = [0.1, 0.7, 1.5]
    driver = write_video(tmp_path / name, (numbered_image(n) for n in range(50)), 25.0, clicks(2.0, heard_s))
    out = tmp_path / 'out.mp4'
    made = write_reenactment(out, Numbering(), motion(count, sound=Path(driver)), depends_on=SETTINGS, window=20)
    assert made.has_sound
    sound = np.concatenate([block.samples for block in Recording.open(out).samples(16_000)])
    expected = [time_s for time_s in heard_s if time_s < count / 25]
    assert find_clicks(sound, 16_000) == pytest.approx(expected, abs=0.012)
    assert len(sound) / 16_000 <= count / 25 + 0.08
    assert [number for number, _ in shown(out)] == list(range(count))


def test_odd_sizes_get_a_line_more(tmp_path):
    out = tmp_path / 'out.mp4'
    write_reenactment(out, Numbering(65, 49), motion(2), depends_on=SETTINGS)
    assert next(Recording.open(out).frames()).image.shape == (50, 66, 3)


def test_a_motion_without_frames_and_another_ending_are_refused(tmp_path):
    with pytest.raises(MediaError, match='at least one frame'):
        write_reenactment(tmp_path / 'out.mp4', Numbering(), motion(0), depends_on=SETTINGS)
    with pytest.raises(UnknownNameError, match=r'\.mp4'):
        write_reenactment(tmp_path / 'out.gif', Numbering(), motion(2), depends_on=SETTINGS)
    assert not list(tmp_path.glob('out.*'))


def test_the_video_is_one_that_every_player_shows(tmp_path):
    out = tmp_path / 'out.mp4'
    write_reenactment(out, Numbering(), motion(6), depends_on=SETTINGS, window=3)
    with av.open(str(out)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ('h264', 'yuv420p')
        assert stream.frames == 6
