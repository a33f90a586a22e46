"""Files of different kinds put behind each other: the first is read as it is alone, the second is named."""

from __future__ import annotations

import time

import av
import numpy as np
import pytest

from affekt.media import Recording

CONTAINERS = {
    'wav': ('wav', 'pcm_s16le'), 'aiff': ('aiff', 'pcm_s16be'), 'caf': ('caf', 'pcm_s16le'),
    'w64': ('w64', 'pcm_s16le'), 'avi': ('avi', 'pcm_s16le'), 'mpg': ('mpeg', 'mp2'), 'm4a': ('ipod', 'aac'),
    'flac': ('flac', 'flac'), 'mka': ('matroska', 'aac'), 'flv': ('flv', 'aac'),
}  # fmt: skip
READ_ON = {('flac', 'flac'), ('mka', 'mka'), ('avi', 'avi'), ('mpg', 'mpg')}
"""FFmpeg goes on with these; other tests hold what is said of them."""
RATE_HZ = 16_000


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Container to the bytes of a second of tone, by its frequency."""
    folder = tmp_path_factory.mktemp('joints')

    def written(name, frequency):
        path = folder / f'{frequency}.{name}'
        form, codec = CONTAINERS[name]
        sound = (np.sin(2 * np.pi * frequency * np.arange(RATE_HZ) / RATE_HZ) * 9000).astype(np.int16)
        with av.open(str(path), 'w', format=form) as container:
            stream = container.add_stream(codec, rate=RATE_HZ, layout='mono')
            resampler = av.AudioResampler(stream.codec_context.format.name, 'mono', RATE_HZ)
            for start in range(0, RATE_HZ, 1024):
                frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], 's16', 'mono')
                frame.sample_rate, frame.pts = RATE_HZ, start
                for piece in resampler.resample(frame):
                    container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
        return path.read_bytes()

    return {name: (written(name, 440), written(name, 1500)) for name in CONTAINERS}


def heard(data):
    recording = Recording.open(data)
    return np.concatenate([block.samples for block in recording.samples()]), recording


@pytest.mark.parametrize('first', CONTAINERS)
def test_the_first_of_two_files_is_read_as_it_is_alone_and_the_second_is_named(files, first):
    alone, recording = heard(files[first][0])
    for second in CONTAINERS:
        if (first, second) in READ_ON:
            continue
        sound, joined = heard(files[first][0] + files[second][1])
        np.testing.assert_array_equal(sound, alone)
        assert joined.duration_s == recording.duration_s
        new = set(joined.decoded.sentences) - set(recording.decoded.sentences)
        # FFmpeg takes an R for a tag of FLV and makes a stream of it
        (sentence,) = (line for line in new if 'neither video, audio nor subtitles' not in line)
        assert sentence.startswith(f'not read: another recording begins at byte {len(files[first][0])}, ')
        assert joined.decoded.unread_bytes == len(files[second][1])


@pytest.mark.parametrize('first', ['caf', 'wav'])
@pytest.mark.parametrize('second', ['wav', 'aiff', 'caf', 'w64', 'flac', 'm4a', 'mka'])
def test_a_file_behind_sound_that_states_no_length_is_not_taken_for_sound(files, first, second):
    endless = bytearray(files[first][0])
    at = endless.find(b'data') + 4
    size = 8 if first == 'caf' else 4
    endless[at : at + size] = b'\xff' * size
    alone, _ = heard(bytes(endless))
    sound, joined = heard(bytes(endless) + files[second][1])
    np.testing.assert_array_equal(sound, alone)
    assert any(f'another recording begins at byte {len(endless)}' in line for line in joined.decoded.sentences)


def test_bytes_inside_a_program_stream_where_no_packet_begins_are_counted(files):
    stream, _ = files['mpg']
    packs = stream.find(b'\0\0\1\xba', len(stream) // 2)
    assert not any('packet begins' in line for line in heard(stream)[1].decoded.sentences)
    _, damaged = heard(stream[:packs] + b'\x55' * 500 + stream[packs:])
    assert f'damaged: no packet begins at byte {packs} of {len(stream) + 500}; 500 bytes are not read' in (
        damaged.decoded.sentences
    )
    _, padded = heard(stream[:packs] + bytes(500) + stream[packs:])
    assert not any('packet begins' in line for line in padded.decoded.sentences)


def test_a_long_sound_without_a_stated_length_is_searched_quickly(files):
    endless = bytearray(files['wav'][0])
    at = endless.find(b'data') + 4
    endless[at : at + 4] = b'\xff' * 4
    noise = np.random.default_rng(0).integers(0, 256, 40_000_000, dtype=np.uint8).tobytes()
    started = time.process_time()
    assert Recording.open(bytes(endless) + noise).duration_s > 1200
    assert time.process_time() - started < 5
