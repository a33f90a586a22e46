"""What a container states and the file does not bear out is said, in bytes and seconds: nothing is lost in silence."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
from PIL import Image

from affekt.containers import window
from affekt.containers.animations import _sub_blocks, count_pixels
from affekt.containers.ebml import EBML_SIZES, EQUAL, XIPH, _has_fitting_sizes, check_elements
from affekt.containers.limits import Limits
from affekt.containers.losses import NO_LENGTH, ContainerReport
from affekt.containers.source import Source
from affekt.errors import AffektError
from affekt.media import Recording
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import PictureStyle, write_audio, write_video

SOUND = tone(2.0, loudness=0.3)


def read(content: bytes) -> Recording:
    recording = Recording.open(content)
    for _ in recording.frames():
        pass
    for _ in recording.samples():
        pass
    return recording


def film(tmp_path, name: str) -> bytes:
    path = tmp_path / name
    style = PictureStyle(options={'g': '10'}) if name.endswith(('mp4', 'mov', 'mkv')) else PictureStyle()
    return write_video(path, numbered_images(40, 96, 72), 20, SOUND, picture=style).read_bytes()


def remuxed(content: bytes, path, container: str, options: dict[str, str], picture_only: bool = False) -> bytes:
    """The same streams in another container."""
    source_path = path.with_suffix('.source')
    source_path.write_bytes(content)
    with av.open(str(source_path)) as source, av.open(str(path), 'w', format=container, options=options) as target:
        copies = {
            stream.index: target.add_stream_from_template(stream)
            for stream in list(source.streams)[: 1 if picture_only else 2]
        }
        for packet in source.demux(*(source.streams[index] for index in copies)):
            if packet.dts is not None:
                packet.duration = packet.duration or round(0.05 / packet.time_base)
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    return path.read_bytes()


def fragmented(tmp_path) -> bytes:
    """Fragments of eight pictures, 0.4 s each, and an index of them at the end."""
    options = {'movflags': 'empty_moov+default_base_moof', 'frag_duration': '390000'}
    return remuxed(film(tmp_path, 'a.mp4'), tmp_path / 'fragmented.mp4', 'mp4', options, picture_only=True)


def live_webm(tmp_path) -> bytes:
    options = {'live': '1', 'cluster_time_limit': '400'}
    return remuxed(film(tmp_path, 'a.webm'), tmp_path / 'live.webm', 'webm', options)


def boxes_named(content: bytes, name: bytes) -> list[tuple[int, int]]:
    """(start, end) of the outermost boxes of a name."""
    position, places = 0, []
    while position + 8 <= len(content):
        size = int.from_bytes(content[position : position + 4], 'big')
        if content[position + 4 : position + 8] == name:
            places.append((position, position + size))
        position += size
    return places


@pytest.mark.parametrize('name', ['a.mp4', 'a.mov', 'a.mkv', 'a.webm'])
def test_a_second_film_joined_by_cat_is_said_with_its_bytes_and_seconds(tmp_path, name):
    content = film(tmp_path, name)
    report = read(content * 2).decoded
    sentence = report.file_damage[0]
    assert f'another recording begins at byte {len(content)}, {len(content):,} bytes (2.0' in sentence
    assert 'not read' in sentence
    assert report.unread_bytes == len(content)
    assert report.lost_s >= report.unread_s == pytest.approx(2.0, abs=0.1)
    assert read(content).decoded.sentences == ()


@pytest.mark.parametrize('name', ['a.m4a', 'a.wav', 'a.aiff', 'a.caf', 'a.w64'])
def test_a_second_sound_file_joined_by_cat_is_said_with_its_bytes_and_seconds(tmp_path, name):
    content = sound_file(tmp_path, name)
    report = read(content * 2).decoded
    assert f'another recording begins at byte {len(content)}, {len(content):,} bytes' in report.file_damage[0]
    assert report.unread_s == pytest.approx(2.0, abs=0.01)
    assert read(content).decoded.sentences == ()


def sound_file(tmp_path, name: str) -> bytes:
    path = tmp_path / name
    if path.suffix in {'.m4a', '.wav'}:
        return write_audio(path, SOUND, 16_000).read_bytes()
    codec = 'pcm_s16le' if path.suffix == '.w64' else 'pcm_s16be'
    with av.open(str(path), 'w') as target:
        stream = target.add_stream(codec, rate=16_000, layout='mono')
        samples = np.round(SOUND[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
        frame.sample_rate = 16_000
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path.read_bytes()


def wav(tmp_path) -> bytes:
    return write_audio(tmp_path / 'a.wav', SOUND, 16_000).read_bytes()


def test_sound_behind_the_stated_end_of_a_wav_is_said(tmp_path):
    content = wav(tmp_path)
    report = read(content + content[-32_000:]).decoded
    # 32,000 bytes of 16-bit mono at 16 kHz are one second
    assert report.file_damage == (
        f'not read: 32,000 bytes (1.00 s) follow the end that the header states, byte {len(content)}',
    )
    assert (report.unread_bytes, report.unread_s) == (32_000, 1.0)


def test_a_data_chunk_that_states_too_little_says_what_it_leaves_out(tmp_path):
    content = bytearray(wav(tmp_path))
    at = content.find(b'data')
    content[at + 4 : at + 8] = struct.pack('<I', 16_000)
    report = read(bytes(content)).decoded
    assert report.audio.decoded_s == pytest.approx(0.5)
    assert report.unread_s == pytest.approx(1.5)
    assert '48,000 bytes (1.50 s)' in report.sentences[0]


@pytest.mark.parametrize('size', [0, 0xFFFFFFFF])
def test_a_riff_size_left_open_hides_no_trailing_sound(tmp_path, size):
    content = bytearray(wav(tmp_path))
    content[4:8] = struct.pack('<I', size)
    assert read(bytes(content)).decoded.sentences == ()
    report = read(bytes(content) + bytes(content[-8000:])).decoded
    assert report.unread_s == pytest.approx(0.25)


@pytest.mark.parametrize('size', [0, 0xFFFFFFFF])
def test_a_wav_that_states_no_length_is_read_to_its_end_and_says_so(tmp_path, size):
    content = bytearray(wav(tmp_path))
    at = content.find(b'data')
    content[4:8] = content[at + 4 : at + 8] = struct.pack('<I', size)
    report = read(bytes(content)).decoded
    assert report.audio.decoded_s == pytest.approx(2.0)
    assert report.sentences == (NO_LENGTH,)
    assert report.is_complete


def test_of_two_data_chunks_the_one_that_is_not_read_is_said(tmp_path):
    content = wav(tmp_path)
    at = content.find(b'data')
    doubled = content + content[at:]
    doubled = doubled[:4] + struct.pack('<I', len(doubled) - 8) + doubled[8:]
    report = read(doubled).decoded
    assert report.audio.decoded_s + report.unread_s == pytest.approx(4.0)
    assert report.file_damage[0].startswith(f'not read: 64,000 bytes of audio (2.00 s) at byte {at + 8}')


def rf64(tmp_path) -> bytes:
    """The same sound with its sizes in 64 bits."""
    content = wav(tmp_path)
    at = content.find(b'data')
    sizes = struct.pack('<QQQI', len(content) + 28, len(content) - at - 8, len(SOUND), 0)
    ds64 = b'ds64' + struct.pack('<I', len(sizes)) + sizes
    open_size = b'\xff\xff\xff\xff'
    return b'RF64' + open_size + b'WAVE' + ds64 + content[12 : at + 4] + open_size + content[at + 8 :]


def test_the_long_sizes_of_rf64_are_held_against_the_file(tmp_path):
    content = rf64(tmp_path)
    assert read(content).decoded.sentences == ()
    assert read(content + bytes(range(1, 241)) * 100).decoded.unread_s == pytest.approx(0.75)
    cut = read(content[:-16_000]).decoded
    assert cut.file_damage[0].startswith('cut short')
    assert cut.unread_s == pytest.approx(0.5, abs=0.01)


def test_a_fragment_that_the_index_lists_and_the_file_lacks_is_said(tmp_path):
    content = fragmented(tmp_path)
    fragments = boxes_named(content, b'moof')
    assert len(fragments) == 5
    assert read(content).decoded.sentences == ()
    index = boxes_named(content, b'mfra')[0][0]
    report = read(content[: fragments[-1][0]] + content[index:]).decoded
    assert report.file_damage[0].startswith('missing: 1 of the 5 fragments of track 1 that the index at the end lists')
    assert report.unread_s == pytest.approx(0.4, abs=0.1)
    middle = read(content[: fragments[1][0]] + content[fragments[2][0] :]).decoded
    assert any('no fragment of track 1 covers 0.4' in sentence for sentence in middle.file_damage)
    assert middle.unread_s == pytest.approx(0.4, abs=0.1)


def test_a_run_that_states_fewer_samples_than_it_lists_is_said(tmp_path):
    content = bytearray(fragmented(tmp_path))
    at = content.find(b'trun', boxes_named(bytes(content), b'moof')[1][0])
    assert int.from_bytes(content[at + 8 : at + 12], 'big') == 7
    content[at + 8 : at + 12] = (3).to_bytes(4, 'big')
    report = read(bytes(content)).decoded
    assert 'states 3 samples, 7 are listed' in report.file_damage[0]
    # four pictures of 0.05 s
    assert report.unread_s == pytest.approx(0.2, abs=0.06)


def test_a_fragment_whose_time_lies_is_said_and_costs_nothing(tmp_path):
    content = bytearray(fragmented(tmp_path))
    at = content.find(b'tfdt', boxes_named(bytes(content), b'moof')[1][0])
    ticks = int.from_bytes(content[at + 8 : at + 16], 'big')
    content[at + 8 : at + 16] = (ticks * 3).to_bytes(8, 'big')
    report = read(bytes(content)).decoded
    assert 'by its neighbours 0.4' in report.file_damage[0]
    assert report.unread_s == 0


@pytest.mark.parametrize('is_live', [True, False])
def test_a_cluster_of_zeros_is_said_with_its_bytes_and_seconds(tmp_path, is_live):
    content = live_webm(tmp_path)
    if not is_live:
        options = {'cluster_time_limit': '400'}
        content = remuxed(film(tmp_path, 'a.webm'), tmp_path / 'b.webm', 'webm', options)
    clusters = [at for at in range(len(content)) if content.startswith(b'\x1fC\xb6u', at)]
    start, end = clusters[2], clusters[3]
    assert [s for s in read(content).decoded.sentences if s != NO_LENGTH] == []
    report = read(content[:start] + bytes(end - start) + content[end:]).decoded
    assert f'{end - start:,} bytes (0.' in report.file_damage[0]
    assert report.unread_s == pytest.approx(0.4, abs=0.1)


def test_a_cluster_without_a_readable_size_is_lost_up_to_the_next_one(tmp_path):
    content = bytearray(live_webm(tmp_path))
    clusters = [at for at in range(len(content)) if content.startswith(b'\x1fC\xb6u', at)]
    start, end = clusters[2], clusters[3]
    content[start + 4] = 0  # no size of an element begins with 0
    content[clusters[4] + 100 :] = bytes(len(content) - clusters[4] - 100)
    report = read(bytes(content)).decoded
    assert f'begins at byte {start} of {len(content)}; {end - start:,} bytes (0.' in report.file_damage[0]
    assert 'no block of a cluster begins' in report.file_damage[1]  # what comes after it is checked too


def test_a_block_whose_frames_do_not_fit_is_lost_with_the_rest_of_its_cluster(tmp_path):
    content = bytearray(live_webm(tmp_path))
    clusters = [at for at in range(len(content)) if content.startswith(b'\x1fC\xb6u', at)]
    block = content.index(b'\xa3', clusters[2] + 8)
    width = 9 - content[block + 1].bit_length()
    content[block + width + 4] |= 4  # flags: frames of equal size
    content[block + width + 5] = 254  # 255 of them
    report = read(bytes(content)).decoded
    lost = f'begins at byte {block} of {len(content)}; {clusters[3] - block:,} bytes (0.'
    assert lost in report.file_damage[0]


@pytest.mark.parametrize(
    ('lacing', 'sizes'),
    [  # the examples of RFC 9559, section 10.3: frames of 800, 500 and 1000 bytes
        (XIPH, b'\x02\xff\xff\xff\x23\xff\xf5'),
        (EBML_SIZES, b'\x02\x43\x20\x5e\xd3'),
    ],
)
def test_sizes_of_frames_in_a_block_are_read_as_the_standard_says(lacing, sizes):
    assert _has_fitting_sizes(lacing, sizes, len(sizes) + 2300)
    assert _has_fitting_sizes(lacing, sizes, len(sizes) + 1301)
    assert _has_fitting_sizes(lacing, sizes, len(sizes) + 1300)  # the last frame is empty
    assert not _has_fitting_sizes(lacing, sizes, len(sizes) + 1299)
    assert not _has_fitting_sizes(lacing, sizes[:-1], 2300)


def test_frames_of_equal_size_share_a_block_without_a_rest():
    assert _has_fitting_sizes(EQUAL, b'\x02', 1 + 2400)
    assert not _has_fitting_sizes(EQUAL, b'\x02', 1 + 2401)


def test_the_checksum_of_a_cluster_is_held_against_its_content(tmp_path):
    content = bytearray(film(tmp_path, 'a.mkv'))
    cluster = content.find(b'\x1fC\xb6u')
    content[cluster + 2000] ^= 1
    assert any('checksum of the cluster' in sentence for sentence in read(bytes(content)).decoded.file_damage)


def test_a_browser_recording_says_that_a_missing_end_would_not_be_noticed(tmp_path):
    report = read(live_webm(tmp_path)).decoded
    assert report.remarks == (NO_LENGTH,)
    assert report.is_complete


def test_at_most_five_sentences_of_a_topic_are_kept():
    report = ContainerReport()
    for number in range(200_000):
        report.add('page', f'page {number} is damaged', lost_bytes=27)
    report.add('end', 'no end')
    assert report.sentences == (
        *(f'page {number} is damaged' for number in range(5)),
        '199,995 more like these (200,000 in all)',
        'no end',
    )
    assert report.lost_bytes == 27 * 200_000


def test_boxes_in_boxes_without_end_are_no_crash(tmp_path):
    content = film(tmp_path, 'a.mp4')
    nested = b''
    for _ in range(1100):
        nested = struct.pack('>I', len(nested) + 8) + b'moov' + nested
    assert any('another index' in sentence for sentence in read(content + nested).decoded.sentences)
    movie = content.find(b'moov') - 4
    inside = content[:movie] + struct.pack('>I', len(nested) + 8 + len(content[movie:])) + b'moov' + nested
    with pytest.raises(Exception, match='expected'):
        read(inside)


def other_container(tmp_path, name: str, container: str) -> bytes:
    return remuxed(film(tmp_path, 'a.mp4' if name != 'a.wmv' else 'a.avi'), tmp_path / name, container, {})


@pytest.mark.parametrize(('name', 'container'), [('a.flv', 'flv'), ('a.wmv', 'asf')])
def test_flash_and_windows_media_joined_by_cat_or_cut_say_so(tmp_path, name, container):
    content = other_container(tmp_path, name, container)
    assert read(content).decoded.sentences == ()
    report = read(content * 2).decoded
    assert f'another recording begins at byte {len(content)}, {len(content):,} bytes' in report.file_damage[0]
    assert report.unread_s == pytest.approx(2.0, abs=0.15)
    cut = read(content[: len(content) * 3 // 4]).decoded
    assert any(sentence.startswith('cut short') for sentence in cut.file_damage)
    assert cut.unread_s == pytest.approx(0.5, abs=0.2)


def test_a_chained_ogg_says_that_its_second_part_begins_anew(tmp_path):
    content = write_audio(tmp_path / 'a.ogg', SOUND, 16_000).read_bytes()
    report = read(content * 2).decoded
    assert f'another recording begins at byte {len(content)}, {len(content):,} bytes (2.0' in report.file_damage[0]
    assert report.unread_s == pytest.approx(2.0, abs=0.02)


def test_packets_that_a_transport_stream_lacks_are_said(tmp_path):
    content = other_container(tmp_path, 'a.ts', 'mpegts')
    assert read(content).decoded.sentences == (NO_LENGTH,)
    report = read(content[: 188 * 40] + content[188 * 50 :]).decoded
    assert any('others are missing before' in note for note in report.video.notes)


def test_a_list_of_programs_that_is_gone_is_no_joint(tmp_path):
    content = other_container(tmp_path, 'a.ts', 'mpegts')
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    lists = [at for at, packet in enumerate(packets) if not packet[1] & 0x1F and not packet[2]]
    report = read(b''.join(packets[: lists[3]] + packets[lists[3] + 1 :])).decoded
    assert report.file_damage[0].startswith(
        f'missing: at least 1 packet of stream 0 before byte {188 * (lists[4] - 1)}'
    )


def test_a_hole_in_a_chain_of_aac_frames_is_said_with_its_bytes(tmp_path):
    path = tmp_path / 'a.aac'
    content = remuxed(write_audio(tmp_path / 'a.m4a', SOUND, 16_000).read_bytes(), path, 'adts', {})
    assert read(content).decoded.sentences == (NO_LENGTH,)
    middle = content.find(b'\xff\xf1', len(content) // 2)
    report = read(content[:middle] + bytes(300) + b'\x01' + content[middle:]).decoded
    assert '301 bytes cannot be read' in report.file_damage[0]


def test_packets_are_counted_where_ffmpeg_marks_none(tmp_path):
    content = other_container(tmp_path, 'a.ts', 'mpegts')
    report = read(content[:1504] + content[1504 + 783 :]).decoded
    assert report.file_damage[0].startswith('damaged: no packet begins at byte 1504')
    assert any('missing: at least' in sentence for sentence in report.file_damage)


@pytest.mark.parametrize('extra', [b'FLV\x01' + bytes(range(200)), bytes(range(1, 250))])
def test_bytes_behind_the_last_frame_of_flac_are_said(tmp_path, extra):
    content = write_audio(tmp_path / 'a.flac', SOUND, 16_000).read_bytes()
    assert read(content).decoded.sentences == ()
    report = read(content + extra).decoded
    assert report.file_damage == (f'not read: {len(extra)} bytes follow the last frame at byte {len(content)}',)
    # a tag in front of other sound does not hide it
    tag = b'ID3\x03\0\0\0\0\0\x05' + bytes(5)
    assert read(content + tag + extra).decoded.unread_bytes == len(extra)
    # the tags that players write behind the sound are no loss
    assert read(content + b'TAG' + bytes(125)).decoded.sentences == ()


def test_a_second_flac_joined_by_cat_is_said_with_its_bytes_and_seconds(tmp_path):
    content = write_audio(tmp_path / 'a.flac', SOUND, 16_000).read_bytes()
    report = read(content * 2).decoded
    assert f'begins at byte {len(content)}, {len(content):,} bytes (2.00 s); its times' in report.file_damage[0]


def test_a_packet_of_windows_media_that_is_zeros_is_said(tmp_path):
    content = other_container(tmp_path, 'a.wmv', 'asf')
    start = content.find(b'\x82\0\0', len(content) // 2)
    report = read(content[:start] + bytes(7000) + content[start + 7000 :]).decoded
    assert 'cannot be read' in report.file_damage[0]


class Failing:
    """A file on a drive that goes away after its header."""

    def __init__(self, content: bytes) -> None:
        self._file, self._reads = io.BytesIO(content), 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if self._reads > 8:
            raise OSError(5, 'Input/output error')
        return self._file.read(size)


def test_a_drive_that_fails_while_a_file_is_read_is_an_error_of_that_file(tmp_path):
    content = write_video(tmp_path / 'a.avi', numbered_images(40, 96, 72), 20, SOUND).read_bytes()
    with pytest.raises(AffektError, match='Input/output error'):
        read(Failing(content))


def gif(tmp_path) -> bytes:
    pictures = [Image.fromarray(picture) for picture in numbered_images(6, 96, 72)]
    pictures[0].save(tmp_path / 'a.gif', save_all=True, append_images=pictures[1:], duration=100, loop=0)
    return (tmp_path / 'a.gif').read_bytes()


def test_bytes_behind_the_end_of_a_picture_inside_its_data_are_said(tmp_path):
    # a wrong length joins what follows to a picture: the decoder stops where that is full, and drops the rest unseen
    content = gif(tmp_path)
    assert read(content).decoded.sentences == ()
    starts = [at for at in range(len(content)) if content.startswith(b'\0\x21\xf9\x04', at)]
    report = read(content[: starts[2]] + b'\x10' + bytes(range(16)) + content[starts[2] :]).decoded
    assert report.file_damage == ('damaged: 16 bytes follow the end of image 2 inside its data',)


def test_the_pixels_of_a_gif_are_counted_as_a_plain_decoder_draws_them(tmp_path):
    noise = np.random.default_rng(7).integers(0, 256, (61, 47), np.uint8)
    Image.fromarray(noise).save(tmp_path / 'a.gif')
    content = (tmp_path / 'a.gif').read_bytes()
    at = content.find(b'\x2c', 13 + 3 * 256) + 10
    data, _ = _sub_blocks(content, at + 1)
    # 61 rows of 47 pixels, and not a byte behind the mark of their end
    assert count_pixels(data, content[at], 10**9) == (61 * 47, len(data))


def _element(identity: int, content: bytes) -> bytes:
    """An EBML element with a size of eight bytes."""
    return (
        identity.to_bytes((identity.bit_length() + 7) // 8, 'big')
        + (1 << 56 | len(content)).to_bytes(8, 'big')
        + content
    )


def _block(time_ms: int, content: bytes = b'\1\0' * 8, flags: int = 0, track: int = 1) -> bytes:
    return bytes([0x80 | track]) + struct.pack('>hB', time_ms, flags) + content


def _pcm_film(part: bytes, behind: bytes = b'') -> bytes:
    """Two clusters of PCM at 0 and 100 ms; the part stands behind the first block of the first."""
    names = _element(0x4282, b'matroska') + _element(0x4287, b'\4') + _element(0x4285, b'\2')
    info = _element(0x1549A966, _element(0x2AD7B1, (1_000_000).to_bytes(4, 'big')))
    sound = _element(0xB5, struct.pack('>d', 8000.0)) + _element(0x9F, b'\1') + _element(0x6264, b'\x10')
    entry = _element(0xD7, b'\1') + _element(0x73C5, b'\1') + _element(0x83, b'\2') + _element(0x86, b'A_PCM/INT/LIT')
    tracks = _element(0x1654AE6B, _element(0xAE, entry + _element(0xE1, sound)))
    blocks = _element(0xA3, _block(0)) + part + _element(0xA3, _block(20)) + _element(0xA3, _block(30))
    clusters = _element(0x1F43B675, _element(0xE7, b'\0') + blocks) + behind
    clusters += _element(0x1F43B675, _element(0xE7, b'\x64') + _element(0xA3, _block(0)))
    return _element(0x1A45DFA3, names) + _element(0x18538067, info + tracks + clusters)


def _packet_count(content: bytes) -> int:
    with av.open(io.BytesIO(content), format='matroska') as film:
        return sum(packet.size > 0 for packet in film.demux())


GROUPS = {
    'a whole group': (_element(0xA0, _element(0xA1, _block(10)) + _element(0x9B, b'\1')), 5, ''),
    'an empty last frame': (_element(0xA3, _block(10, b'\1\x90' + b'\1\0' * 8, 6)), 5, ''),
    'a block that passes its group': (
        _element(0xA0, b'\xa1' + (1 << 56 | 40).to_bytes(8, 'big') + _block(10)), 2, 'a block that cannot be read',
    ),
    'a duration that passes its group': (
        _element(0xA0, _element(0xA1, _block(10)) + b'\x9b\x85\1'), 2, 'a block that cannot be read',
    ),
    'a second block of impossible frames': (
        _element(0xA0, _element(0xA1, _block(10)) + _element(0xA1, _block(11, b'\2' + b'\1\0' * 8, 4))), 2,
        'a block that cannot be read',
    ),
    'a part without a readable header': (
        _element(0xA0, _element(0xA1, _block(10)) + bytes(3)), 2, 'a block that cannot be read',
    ),
    'no block': (_element(0xA0, _element(0xA3, _block(10))), 4, 'holds no block with content'),
    'another track': (_element(0xA3, _block(10, track=5)), 2, 'a block of track 5, which the file does not describe'),
}  # fmt: skip


@pytest.mark.parametrize(('part', 'packets', 'sentence'), GROUPS.values(), ids=GROUPS)
def test_what_a_demuxer_leaves_out_of_a_cluster_is_said(part, packets, sentence):
    content = _pcm_film(part)
    assert _packet_count(content) == packets
    damage = read(content).decoded.file_damage
    assert len(damage) == bool(sentence)
    assert all(sentence in line and ' bytes' in line for line in damage)


def test_what_follows_a_damaged_cluster_is_not_counted_as_lost():
    tags = _element(0x1254C367, _element(0x7373, _element(0x63C0, b'') + _element(0x67C8, bytes(300))))
    content = _pcm_film(_element(0xA3, _block(10, track=5)), tags)
    lost = content.index(tags) - content.index(_element(0xA3, _block(10, track=5)))
    (line,) = read(content).decoded.file_damage
    assert f'; {lost:,} bytes (0.10 s) cannot be read' in line


@pytest.mark.parametrize('limit', range(6, 22))
def test_a_long_recording_is_no_damage_wherever_its_walk_ends(limit, monkeypatch):
    monkeypatch.setattr(window, 'MAX_PARTS', limit)
    report = ContainerReport()
    check_elements(Source(_pcm_film(GROUPS['a whole group'][0]), Limits()), report)
    assert report.sentences == ()
    assert len(report.remarks) == 1
    assert 'million' in report.remarks[0]


def test_seconds_before_the_next_cluster_are_counted_once():
    content = bytearray(_pcm_film(b''))
    cluster = content.index(b'\x1fC\xb6u')
    size = int.from_bytes(content[cluster + 5 : cluster + 12], 'big')
    content[cluster + 5 : cluster + 12] = (size - 20).to_bytes(7, 'big')
    assert read(bytes(content)).decoded.unread_s == pytest.approx(0.08)


def test_two_frame_rates_of_an_avi_are_said(tmp_path):
    content = bytearray(write_video(tmp_path / 'a.avi', numbered_images(20, 96, 72), 10).read_bytes())
    assert read(bytes(content)).decoded.sentences == ()
    rate = content.index(b'strh') + 32
    content[rate : rate + 4] = (5 * int.from_bytes(content[rate : rate + 4], 'little')).to_bytes(4, 'little')
    (sentence,) = read(bytes(content)).decoded.sentences
    assert '10.00 frames per second and its stream 50.00' in sentence
