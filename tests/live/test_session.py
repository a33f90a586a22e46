"""A stream from its source to its readings: what comes out, what is dropped, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import affekt
from affekt.errors import MediaError, UnknownNameError
from affekt.faces import expression_model, observe_faces
from affekt.labels import EKMAN
from affekt.live import LiveSession, StreamSettings
from affekt.media import Frame, Recording

PATIENT = StreamSettings(pace='as fast as read', smoothing='none', voice=False)


@pytest.fixture(scope='module')
def clip_frames(request) -> list[Frame]:
    shared_data = request.getfixturevalue('shared_data')
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


def test_an_unknown_camera_lists_those_there_are():
    with pytest.raises(MediaError, match=r'expected camera 97; got (none is here|there)'):
        next(iter(affekt.stream(97)))


def test_frames_of_the_callers_own_that_hold_no_face_give_empty_readings():
    def grey() -> Iterator[Frame]:
        for number in range(3):
            yield Frame(number / 25, np.full((90, 160, 3), 128, np.uint8))

    readings = list(affekt.stream(grey(), settings=PATIENT))
    assert [round(reading.time_s, 2) for reading in readings] == [0.0, 0.04, 0.08]
    assert all(reading.faces == () and reading.voice is None for reading in readings)
