"""A stream from its source to its readings: what comes out, what is dropped, and how it ends."""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
import threading
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from live_streams import grey_frames, quiet

import affekt
from affekt.analysis import Analysis
from affekt.analysis.observations import FACES
from affekt.batch import export_run, report_run, with_changes
from affekt.errors import MediaError, PurposeError, RunError, StorageError, UnknownNameError, ValueRangeError
from affekt.faces import FaceStream, expression_model, observe_faces
from affekt.labels import EKMAN
from affekt.live import LiveSession, LiveSource, StreamSettings
from affekt.live.clocks import MachineClock
from affekt.live.feeds import merged
from affekt.live.hearing import Hearer
from affekt.live.journal import Journal, read_rows
from affekt.live.latency import LatencyBudget
from affekt.live.mailbox import Mailbox
from affekt.live.saving import Kept, save_stream
from affekt.live.store import recovered_in
from affekt.media import Frame, Recording
from affekt.people import Rename
from affekt.runs import Run
from affekt.voice import VoiceStream

PATIENT = StreamSettings(pace='as fast as read', smoothing='none', voice=False)


@pytest.fixture(scope='module')
def clip_frames(shared_data) -> list[Frame]:
    frames = Recording.open(shared_data / 'test_media' / 'single_face.mp4').frames(None)
    return [next(frames) for _ in range(24)]


def test_live_and_offline_agree_where_no_frame_was_dropped(clip_frames):
    offline = observe_faces(clip_frames, expression=expression_model()).table
    with LiveSession(clip_frames, PATIENT) as session:
        readings = list(session)
    faces = [(reading.time_s, face) for reading in readings for face in reading.faces]
    assert len(readings) == len(clip_frames)
    assert session.latency.dropped == 0
    assert [time_s for time_s, _ in faces] == offline['time_s'].to_pylist()
    live = np.array([[*(face.expression[name] for name in EKMAN), face.valence, face.arousal] for _, face in faces])
    stored = np.column_stack([offline[name].to_numpy() for name in (*EKMAN, 'valence', 'arousal')])
    assert np.abs(live - stored).max() < 1e-5


def test_an_unknown_setting_names_the_known_ones():
    with pytest.raises(UnknownNameError, match='max_people'):
        affekt.stream('clip.mp4', max_peple=2)


@pytest.mark.parametrize(
    ('named', 'error'),
    [
        ({'faces': False, 'voice': False}, ValueRangeError),
        ({'max_people': 0}, ValueRangeError),
        ({'fps': 0.0}, ValueRangeError),
        ({'voice_window_s': 0.5}, ValueRangeError),
        ({'camera_size': 'large'}, ValueRangeError),
        ({'voice': 'yes'}, ValueRangeError),
        ({'pace': 'fast'}, UnknownNameError),
        ({'words': 'huge'}, UnknownNameError),
        ({'purpose': 'hiring decisions'}, PurposeError),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_opened(named, error):
    with pytest.raises(error):
        affekt.stream('absent.mp4', **named)


def test_frames_of_the_callers_own_that_hold_no_face_give_empty_readings():
    readings = list(affekt.stream(grey_frames(3), settings=PATIENT))
    assert [round(reading.time_s, 2) for reading in readings] == [0.0, 0.04, 0.08]
    assert all(reading.faces == () and reading.voice is None for reading in readings)


def test_a_generator_that_is_closed_early_leaves_no_thread_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    readings = affekt.stream(grey_frames(500), settings=PATIENT)
    next(readings)
    assert list(tmp_path.iterdir())
    readings.close()
    assert not list(tmp_path.iterdir())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith('affekt-reader')]


def test_a_slow_user_gets_the_newest_frame_and_the_others_are_counted():
    taken = []
    with LiveSession(grey_frames(60, 100.0), StreamSettings(voice=False)) as session:
        for reading in session:
            taken.append(reading)
            session.source.pictures.take(0.05)  # the slow user: a frame and more pass by
    times = [reading.time_s for reading in taken]
    assert times == sorted(times)
    assert len(taken) < 60
    assert taken[-1].dropped <= session.latency.dropped
    assert session.latency.frames == len(taken)


def drops(budget: LatencyBudget, ages_s: list[float], interval_s: float = 0.04) -> list[bool]:
    """Which frames of these ages, one interval apart, are dropped; after one that sets the interval."""
    budget.drops(0.0, 0.0, 0)
    return [budget.drops(number * interval_s, number * interval_s + age_s, 0) for number, age_s in enumerate(ages_s, 1)]


@pytest.mark.parametrize(
    ('cost_s', 'ages_s', 'interval_s', 'expected'),
    [
        (0.045, [0.0, 0.005, 0.02, 0.005], 0.04, [False, False, True, False]),
        (0.045, [0.02, 0.02, 0.02], 0.04, [True, False, True]),  # never two in a row
        (0.02, [0.0, 0.039], 0.04, [False, False]),  # quick enough for any age within an interval
        (0.08, [0.0, 0.039], 0.04, [False, False]),  # no frame can meet the budget
        (0.045, [0.02, 0.02], 1.0, [False, False]),  # the next frame is a second away
    ],
)
def test_a_frame_that_waited_too_long_for_the_budget_is_dropped(cost_s, ages_s, interval_s, expected):
    budget = LatencyBudget(0.06)
    assert drops(budget, [0.05]) == [False]  # before the first reading no cost is known
    for _ in range(100):
        budget.add(cost_s)
    assert drops(budget, ages_s, interval_s) == expected


def test_the_interval_counts_frames_that_were_replaced_in_between():
    budget = LatencyBudget(0.06)
    budget.add(0.045)
    budget.drops(0.0, 0.0, 0)
    assert budget.drops(0.12, 0.14, 2)
    assert not budget.drops(0.24, 0.26, 2)


def test_costs_that_vary_leave_less_time_to_wait_and_a_budget_of_0_drops_nothing():
    steady, varying, none = LatencyBudget(0.06), LatencyBudget(0.06), LatencyBudget(0.0)
    for number in range(200):
        steady.add(0.045)
        varying.add(0.045 + (0.005 if number % 2 else -0.005))
        none.add(0.045)
    assert (drops(steady, [0.01]), drops(varying, [0.01]), drops(none, [0.5])) == ([False], [True], [False])


def test_frames_dropped_for_the_budget_are_counted_and_the_last_is_read(monkeypatch):
    late = itertools.cycle([False, True])
    monkeypatch.setattr(LatencyBudget, 'drops', lambda self, read_s, now_s, replaced: next(late))
    with LiveSession(grey_frames(20, 40.0), StreamSettings(voice=False)) as session:
        readings = list(session)
    assert session.latency.dropped
    assert len(readings) + session.latency.dropped == 20
    assert readings[-1].time_s == pytest.approx(19 / 40)


def test_a_late_frame_is_read_where_no_newer_one_comes(monkeypatch):
    is_late = threading.Event()

    def drops(self, read_s, now_s, replaced):
        is_late.set()
        return True

    def frames():
        yield from grey_frames(1)
        is_late.wait(10)  # the source ends after its last frame was found to be late

    monkeypatch.setattr(LatencyBudget, 'drops', drops)
    with LiveSession(frames(), StreamSettings(voice=False)) as session:
        readings = list(session)
    assert is_late.is_set()
    assert (len(readings), session.latency.dropped) == (1, 0)


def test_where_pictures_stop_what_is_heard_is_told_alone():
    class Jumping(MachineClock):
        """Two seconds pass between looks at it, and nobody waits."""

        time_s = 0.0

        def now(self) -> float:
            self.time_s += 2.0
            return self.time_s

        def wait(self, stop, seconds) -> None:
            pass

    def units():
        yield from grey_frames(1)
        for block in quiet(0.5):
            was_read.wait(0.04)  # until what was heard before is out, or a moment later
            was_read.clear()
            yield block

    was_read = threading.Event()
    with LiveSession(units(), StreamSettings(), clock=Jumping()) as session:
        session.subscribe(lambda reading, image: was_read.set())
        readings = list(session)
    assert any(reading.voice is not None and not reading.faces for reading in readings[1:])


def test_subscribers_get_every_reading_with_its_frame():
    received = []
    with LiveSession(grey_frames(3), PATIENT) as session:
        session.subscribe(lambda reading, image: received.append((reading, image.shape)))
        readings = list(session)
    assert received == [(reading, (64, 96, 3)) for reading in readings]


def test_boxes_are_in_pixels_of_the_source_also_where_pictures_are_read_smaller(shared_data, tmp_path):
    clip = shared_data / 'test_media' / 'single_face.mp4'  # 640 x 360
    settings = PATIENT.changed({'fps': 5, 'max_side': 320})
    frames: list[np.ndarray] = []
    on_disk = []

    class Hasty(MachineClock):
        """A tenth of a second passes with each look at it."""

        time_s = 0.0

        def now(self) -> float:
            self.time_s += 0.1
            return self.time_s

    with LiveSession(clip, settings, out=tmp_path / 'run', clock=Hasty()) as session:
        session.subscribe(lambda reading, frame: frames.append(frame))
        faces = []
        for reading in session:
            faces += reading.faces
            on_disk.append(read_rows(session._store.journal.folder, 'faces', FACES).num_rows)
        assert session.frame_scale == 2.0
        assert on_disk[len(on_disk) // 2] > 0  # a kill would leave them
        saved = Analysis.load(session.save())
    assert {frame.shape for frame in frames} == {(180, 320, 3)}
    # the face is about 150 wide and 190 high, its corner near (220, 100)
    middle = np.median([face.box for face in faces], axis=0)
    assert np.abs(middle - (220, 100, 150, 190)).max() < 20
    assert (saved.source.width, saved.source.height) == (640, 360)
    rows = [saved.tables['faces'][f'box_{name}'].to_numpy() for name in ('x', 'y', 'width', 'height')]
    assert np.abs(np.median(rows, axis=1) - middle).max() < 8


def test_the_frame_at_which_the_readings_are_left_is_saved_like_the_others(shared_data, tmp_path):
    clip = shared_data / 'test_media' / 'single_face.mp4'  # 640 x 360
    with LiveSession(clip, PATIENT.changed({'fps': 5, 'max_side': 320})) as session:
        for reading in session:
            if reading.faces:
                break
        saved = Analysis.load(result := session.save(tmp_path / 'run'))
    frames = pq.read_table(result / 'frames.parquet')
    assert frames.num_rows == session.latency.frames
    assert frames['time_s'][-1].as_py() == reading.time_s
    assert saved.tables['faces']['box_width'][-1].as_py() == pytest.approx(reading.faces[0].box[2])
    assert (saved.source.width, saved.source.height) == (640, 360)


def test_a_session_that_is_stopped_while_its_source_is_awaited_has_no_readings(tmp_path):
    os.mkfifo(tmp_path / 'pipe')  # nobody writes to it
    session = LiveSession(tmp_path / 'pipe', StreamSettings(voice=False), out=tmp_path / 'run')
    stopping = threading.Timer(0.2, session.stop)
    stopping.start()
    with session:
        assert list(session) == []
    stopping.join()
    session.remove_empty_run()
    assert not (tmp_path / 'run').exists()


def test_rows_go_to_disk_also_where_no_frame_follows(clip_frames, tmp_path):
    on_disk = 0

    def stalling():
        nonlocal on_disk
        yield from clip_frames[:6]
        end_s = time.monotonic() + 20.0
        while on_disk < 6 and time.monotonic() < end_s:
            time.sleep(0.05)
            on_disk = read_rows(session._store.journal.folder, 'faces', FACES).num_rows

    with LiveSession(stalling(), PATIENT, out=tmp_path / 'run') as session:
        assert len(list(session)) == 6
    session.discard()
    assert on_disk == 6


def test_a_stream_is_saved_as_an_analysis_that_can_be_reported_and_exported(clip_frames, tmp_path):
    with LiveSession(merged([iter(clip_frames), quiet(1.0)]), PATIENT.changed({'voice': True})) as session:
        readings = list(session)
        result = session.save(tmp_path / 'run')
    analysis = Analysis.load(result)
    assert result.parent == tmp_path / 'run'
    assert analysis.tables['faces'].num_rows == sum(len(reading.faces) for reading in readings)
    assert [person.name for person in analysis.people] == ['person 1']
    assert analysis.source.duration_s == pytest.approx(24 / 30, abs=0.05)
    assert 'lasts_s' not in analysis.tables['faces'].column_names, 'frames are even'
    assert any(note.startswith('Latency p50') for note in analysis.source.notes)
    assert (result / 'latency.json').exists()
    assert analysis.recording is None
    written = report_run(tmp_path / 'run')
    assert (len(written), written.remarks) == (1, ())
    assert len(export_run(tmp_path / 'run', 'csv')) == 1


def test_a_person_is_seen_from_each_frame_to_the_next_however_many_were_dropped(clip_frames, tmp_path):
    """Frames without a face are read 25 times a second here, those with one five times."""
    seen = [Frame(1 + number / 5, frame.image) for number, frame in enumerate(clip_frames[:10])]
    height, width = seen[0].image.shape[:2]
    with LiveSession([*grey_frames(25, size=(width, height)), *seen], PATIENT) as session:
        list(session)
        analysis = Analysis.load(session.save(tmp_path / 'run'))
    rows = analysis.tables['faces'].num_rows
    assert rows >= 8
    assert analysis.people[0].seen_s == pytest.approx(rows / 5, abs=1e-3)
    assert with_changes(analysis, [Rename('person 1', 'A.')]).people[0].seen_s == analysis.people[0].seen_s
    assert export_run(tmp_path / 'run', 'csv')
    assert report_run(tmp_path / 'run')


def test_what_was_not_asked_for_is_not_said_to_be_missing(clip_frames, tmp_path):
    with LiveSession(clip_frames[:2], PATIENT) as session:
        list(session)
        notes = Analysis.load(session.save(tmp_path / 'run')).source.notes
    assert 'Voices were not read, as requested.' in notes
    assert not any('there is no audio' in note.lower() for note in notes)


def test_a_cut_off_stream_is_finished_although_its_recogniser_is_gone(tmp_path):
    with LiveSession(grey_frames(1), PATIENT, out=tmp_path / 'run') as session:
        list(session)
    session._store._run.close()  # the process is gone
    path = session._store.journal.folder / 'source.json'
    path.write_text(path.read_text().replace('"words": "none"', '"words": "gone/whisper"'))
    assert Analysis.load(save_stream(path.parent, tmp_path / 'other', Kept())).source.name


def test_two_streams_in_one_run_are_two_results(tmp_path):
    for _ in range(2):
        with LiveSession(grey_frames(2), PATIENT, out=tmp_path / 'run') as session:
            assert len(list(session)) == 2
            session.save()
    assert len([path for path in (tmp_path / 'run').iterdir() if path.is_dir()]) == 2


def test_two_streams_of_one_file_in_one_second_are_two_results(shared_data, tmp_path, monkeypatch):
    monkeypatch.setattr('affekt.live.store.now_text', lambda: '2026-12-01T12:00:00+00:00')
    results = []
    for _ in range(2):
        clip = shared_data / 'test_media' / 'single_face.mp4'
        with LiveSession(clip, PATIENT.changed({'fps': 2}), out=tmp_path / 'run') as session:
            next(iter(session))
            results.append(session.save())
    assert len({*results}) == 2
    assert all((result / 'report.html').is_file() for result in results)


def test_a_session_is_saved_once(tmp_path):
    with LiveSession(grey_frames(1), PATIENT) as session:
        list(session)
        with pytest.raises(RunError, match='a folder to save to'):
            session.save()
        session.save(tmp_path / 'run')
        with pytest.raises(RunError, match='not yet saved'):
            session.save(tmp_path / 'again')


def test_a_source_that_is_not_there_is_said_before_models_are_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(LiveSession, '_load', lambda session: pytest.fail('models were loaded'))
    with pytest.raises(MediaError, match='no such file'), LiveSession(tmp_path / 'absent.mp4', out=tmp_path / 'run'):
        pass
    assert not (tmp_path / 'run').exists()
    with pytest.raises(MediaError, match='the folder'):
        affekt.stream(tmp_path)  # at once, not with the first reading


def test_a_lost_source_ends_readings_with_an_error_where_nothing_is_saved(monkeypatch):
    def lost(source):
        source.loss = 'was lost after 1.0 s and did not come back: it ended'

    monkeypatch.setattr(LiveSource, '_read_connections', lost)
    with pytest.raises(MediaError, match=r'a source that was lost after 1\.0 s'):
        list(affekt.stream([], settings=PATIENT))
    with LiveSession([], PATIENT) as session:
        assert list(session) == []
        assert session.source.loss


def test_hearing_that_fails_ends_the_readings_also_while_sound_waits(monkeypatch):
    def fails(stream, start_s, samples):
        raise ValueError('cannot hear')

    monkeypatch.setattr(VoiceStream, 'hear', fails)
    units = [*quiet(20.0), *grey_frames(1)]  # more sound than waits, then a picture that never comes
    with (
        pytest.raises(ValueError, match='cannot hear'),
        LiveSession(units, PATIENT.changed({'voice': True})) as session,
    ):
        list(session)


def test_a_finished_turn_is_read_although_the_voice_that_goes_on_always_waits():
    done = []

    class Slow:
        """A machine on which the next window waits before the one before it is read."""

        def read(self, window):
            done.append('window')
            if len(done) == 20:
                hearer._work.put(False)
            else:
                hearer._windows.put((0, window))
                hearer._work.put(True)

        def add(self, turn):
            done.append(turn)

        def taken(self):
            return pa.table({}), pa.table({})

    hearer = Hearer(Mailbox(1), Slow(), SimpleNamespace(write=lambda name, rows: None), MachineClock())
    hearer._windows.put((0, np.zeros(1, np.float32)))
    for turn in ('first turn', 'second turn'):
        hearer._turns.put(turn)
    for _ in range(3):
        hearer._work.put(True)
    thread = threading.Thread(target=hearer._read_turns)
    thread.start()
    thread.join()
    assert done[:5] == ['window', 'first turn', 'window', 'second turn', 'window']


def test_words_of_the_last_turn_come_after_the_last_frame(monkeypatch):
    join = Hearer.join

    def recognized_late(hearer) -> None:
        join(hearer)
        hearer._words.append('late words')

    monkeypatch.setattr(Hearer, 'join', recognized_late)
    monkeypatch.setattr(LiveSession, '_load', lambda session: VoiceStream(session._models.fresh_detector()))
    received = []
    with LiveSession(quiet(0.3), PATIENT.changed({'voice': True, 'faces': False, 'words': 'tiny.en'})) as session:
        session.subscribe(lambda reading, image: received.append(reading.words))
        readings = list(session)
    assert [reading.words for reading in readings if reading.words] == ['late words']
    assert received[-1] == 'late words'


def test_a_session_that_has_ended_does_not_read_again():
    with LiveSession(grey_frames(1), PATIENT) as session:
        assert len(list(session)) == 1
    with pytest.raises(RunError, match='one that has ended'):
        list(session)


def test_a_stream_of_nothing_is_not_saved(tmp_path):
    with LiveSession([], PATIENT, out=tmp_path / 'run') as session:
        assert list(session) == []
        with pytest.raises(RunError, match='at least one reading'):
            session.save()
    assert not list((tmp_path / 'run').glob('.live-*'))


def test_an_empty_run_is_removed_but_never_what_another_session_keeps_in_it(tmp_path):
    run = tmp_path / 'run'
    with LiveSession(grey_frames(2), PATIENT, out=run) as first:
        list(first)
        late = LiveSession(grey_frames(2), PATIENT, out=run)
        with pytest.raises(RunError, match='no other process'):
            list(late)
        late.remove_empty_run()
        first.remove_empty_run()  # of which something was read
        assert first.save().is_dir()
    nothing = LiveSession([], PATIENT, out=tmp_path / 'nothing')
    assert list(nothing) == []
    nothing.remove_empty_run()
    assert not (tmp_path / 'nothing').exists()


def test_what_was_read_before_ctrl_c_is_saved(tmp_path):
    with LiveSession(grey_frames(50), PATIENT) as session, pytest.raises(KeyboardInterrupt):
        for number, _ in enumerate(session):
            if number == 4:
                raise KeyboardInterrupt
    assert Analysis.load(session.save(tmp_path / 'run')).source.analyzed_rate_hz == pytest.approx(25.0)


def test_stop_from_another_place_ends_the_readings():
    with LiveSession(grey_frames(500), PATIENT) as session:
        session.subscribe(lambda reading, image: session.stop() if reading.time_s > 0.2 else None)
        assert len(list(session)) == 7


def test_what_a_killed_process_left_in_a_run_is_finished_by_the_next(clip_frames, tmp_path):
    run = tmp_path / 'run'
    session = LiveSession(clip_frames[:12], PATIENT, out=run)
    with session:
        count = len([reading for reading in session if reading.faces])
    journal = session._store.journal.folder
    session._store._run.close()  # the process is gone; a kill cut the last write
    whole = (journal / 'faces.arrows').read_bytes()
    (journal / 'faces.arrows').write_bytes(whole + whole[-200:-50])
    assert read_rows(journal, 'faces', FACES).num_rows == count
    with LiveSession(grey_frames(1), PATIENT, out=run) as following:
        list(following)
        following.save()
    assert [Analysis.load(result).tables['faces'].num_rows for result in following.recovered] == [count]
    assert not list(run.glob('.live-*'))


def test_a_file_that_could_not_be_opened_does_not_hide_what_comes_after_it(tmp_path, monkeypatch):
    journal, rows = Journal(tmp_path), pa.table({'time_s': [1.0]})
    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(pa, 'OSFile', lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'full')))
        journal.write('voice', rows)
    journal.write('voice', rows)
    journal.close()
    assert read_rows(tmp_path, 'voice', rows.schema)['time_s'].to_pylist() == [1.0]


def test_half_a_batch_does_not_hide_what_comes_after_it(tmp_path):
    class Stops:
        """A writer that Ctrl-C meets."""

        def write_table(self, rows: pa.Table) -> None:
            raise KeyboardInterrupt

    journal, rows = Journal(tmp_path), pa.table({'time_s': [1.0]})
    journal.write('voice', rows)
    file, writer = journal._writers['voice']
    journal._writers['voice'] = file, Stops()
    with pytest.raises(KeyboardInterrupt):
        journal.write('voice', rows)
    writer.close()
    file.close()
    journal.write('voice', rows)
    journal.close()
    assert read_rows(tmp_path, 'voice', rows.schema)['time_s'].to_pylist() == [1.0, 1.0]


class _Late:
    """A search that gives its detections only when it is told to."""

    def __init__(self, landmarker, after: int) -> None:
        self._landmarker, self._after, self._waiting = landmarker, after, []
        self._asked = 0

    def is_free(self, is_urgent) -> bool:
        return not self._waiting

    def give(self, image, scales, is_urgent) -> None:
        self._waiting.append((scales, self._landmarker.detect(image, scales)))
        self._asked = 0

    def take(self):
        self._asked += 1
        return self._waiting.pop() if self._waiting and self._asked > self._after else (0, ())

    def close(self) -> None:
        pass


def test_a_face_that_is_found_late_is_followed_from_then_on(clip_frames):
    from affekt.faces import FaceLandmarker

    landmarker = FaceLandmarker()
    faces = FaceStream(landmarker=landmarker, search=_Late(landmarker, after=3))
    seen = [faces.look(frame.time_s, frame.image) for frame in clip_frames[:8]]
    assert [len(each) for each in seen] == [0, 0, 0, 0, 1, 1, 1, 1]
    at_once = observe_faces(clip_frames[:8], landmarker=landmarker).table
    boxes = np.column_stack([at_once[name].to_numpy() for name in ('box_x', 'box_y', 'box_width', 'box_height')])
    assert np.abs(boxes[-1] - seen[-1][0].box).max() < 1.0


def test_pictures_of_another_size_are_searched_anew_and_persons_go_on(clip_frames):
    small = [Frame(1 + frame.time_s, np.ascontiguousarray(frame.image[::2, ::2])) for frame in clip_frames[:6]]
    readings = list(affekt.stream([*clip_frames[:6], *small], settings=PATIENT))
    people = [[face.person for face in reading.faces] for reading in readings]
    assert people == [['person 1']] * 12
    assert readings[-1].faces[0].box[2] == pytest.approx(readings[5].faces[0].box[2] / 2, rel=0.1)


def test_a_clock_of_ones_own_tells_the_latency():
    class Ticking(MachineClock):
        """Each look at it takes a hundredth of a second."""

        time_s = 0.0

        def now(self) -> float:
            self.time_s += 0.01
            return self.time_s

    with LiveSession(grey_frames(1), PATIENT, clock=Ticking()) as session:
        (reading,) = session
    # it is looked at when the frame comes, when it is taken and for the reading, and once more by either thread between
    assert 0.019 < reading.latency_s < 0.031
    assert session.latency.p50_s == pytest.approx(reading.latency_s + 0.01, abs=1e-3)


def test_only_what_a_stream_left_is_removed_from_a_run(tmp_path, caplog):
    theirs = ('.live-photos/a.jpg', '.live-12/a.jpg', '.live-13/faces.arrows.bak')
    with Run(tmp_path / 'run', {}) as run:
        for name in (*theirs, '.live-14/faces.arrows', '.live-14/words.jsonl'):
            (run.folder / name).parent.mkdir(exist_ok=True)
            (run.folder / name).touch()
        assert recovered_in(run) == ()
        assert [name for name in theirs if (run.folder / name).exists()] == list(theirs)
        assert not (run.folder / '.live-14').exists()
        assert not caplog.text
        (run.folder / '.live-12' / 'source.json').touch()
        assert recovered_in(run) == ()
        assert 'not finished: its folder also holds a.jpg; move that elsewhere' in caplog.text


def test_rows_of_a_stream_that_could_not_be_finished_are_not_overwritten(tmp_path):
    kept = tmp_path / 'run' / f'.live-{os.getpid()}'  # in a container, every process may have the same number
    with LiveSession(grey_frames(1), PATIENT, out=tmp_path / 'run') as first:
        list(first)
        first.save()
    kept.mkdir()
    for name in ('frames.arrows', 'notes.txt'):
        (kept / name).write_bytes(b'kept')
    with LiveSession(grey_frames(2), PATIENT, out=tmp_path / 'run') as second:
        list(second)
        second.save()
    assert [path.read_bytes() for path in sorted(kept.iterdir())] == [b'kept', b'kept']
