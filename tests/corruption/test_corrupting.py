"""Whole manifests: what is written is what was asked for, twice the same, and whole after a kill."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample, made_up_corpus
from affekt.corruption import Corruption, as_published, corrupt, pyramid_blurred
from affekt.errors import CorpusError, RunError, UnknownNameError, ValueRangeError
from affekt.media import Recording
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import write_audio, write_video

RATE_HZ = 16_000


def _heard(path):
    return np.concatenate([block.samples for block in Recording.open(path).samples(RATE_HZ)]).astype(float)


def _pictures(path):
    return [frame.image for frame in Recording.open(path).frames()]


@pytest.fixture(scope='module')
def spoken(tmp_path_factory):
    """Twelve short sounds, of six dialogues' first two turns."""
    corpus = made_up_corpus(0, tmp_path_factory.mktemp('sounds'))
    return corpus.keep(lambda row: row.sample.endswith(('d1_t0', 'd1_t1')) and row.session < 'pair07')


@pytest.fixture(scope='module')
def films(tmp_path_factory):
    """Two films: one with sound, one of odd size without."""
    folder = tmp_path_factory.mktemp('films')
    write_video(folder / 'a.mp4', numbered_images(20), 25.0, tone(0.8), RATE_HZ)
    write_video(folder / 'b.avi', numbered_images(10), 25.0)
    rows = (Sample('a', video='a.mp4'), Sample('b c', video='b.avi'), Sample('none', text='words alone'))
    return Manifest(Facts('films', root=str(folder)), rows)


def test_the_file_holds_the_ratio_that_its_row_names(spoken, tmp_path):
    made = corrupt(spoken, Corruption(snr_db=(5.0, 10.0), noise='pink'), tmp_path / 'out')
    noisy = Manifest.load(made.path)
    drawn = set()
    for clean, row in zip(spoken.samples, noisy.samples, strict=True):
        facts = json.loads(row.corruption)
        speech = _heard(spoken.media(clean, 'audio'))
        left = _heard(noisy.media(row, 'audio')) / facts['level'] - speech
        # 16 bits round by 1e-5 of full scale, far below this noise: 0.01 dB.
        assert 10 * np.log10(np.mean(speech**2) / np.mean(left**2)) == pytest.approx(facts['snr_db'], abs=0.01)
        drawn.add(facts['snr_db'])
    assert drawn == {5.0, 10.0}
    assert (made.samples, made.changed, made.untouched, made.failed) == (12, 12, (), {})
    labels = [(row.category, row.valence, row.split, row.fold) for row in spoken.samples]
    assert [(row.category, row.valence, row.split, row.fold) for row in noisy.samples] == labels


@pytest.mark.parametrize('noise', ['white', 'babble'])
def test_one_seed_gives_the_same_bytes_in_any_order_and_another_seed_others(noise, spoken, tmp_path):
    part = dataclasses.replace(spoken, samples=spoken.samples[::-1])
    for name, manifest, seed in (('one', spoken, 0), ('two', spoken, 0), ('other', spoken, 1), ('back', part, 0)):
        corrupt(manifest, Corruption(snr_db=(5.0,), noise=noise, seed=seed), tmp_path / name)
    files = [path.name for path in sorted((tmp_path / 'one' / 'media').iterdir())]
    one, two, other, back = (
        [(tmp_path / name / 'media' / file).read_bytes() for file in files] for name in ('one', 'two', 'other', 'back')
    )
    assert one == two
    assert all(left != right for left, right in zip(one, other, strict=True))
    assert one == back


def test_babble_is_of_other_speakers(spoken, tmp_path):
    made = Manifest.load(corrupt(spoken, Corruption((0.0,), 'babble', talkers=3), tmp_path / 'out').path)
    speaker = {row.sample: row.speaker for row in spoken.samples}
    for row in made.samples:
        voices = json.loads(row.corruption)['voices']
        assert len(set(voices)) == 3
        assert row.speaker not in {speaker[voice] for voice in voices}


def test_a_folder_of_recordings_is_joined_until_it_is_long_enough(spoken, tmp_path, rng):
    for name in ('x', 'y'):
        write_audio(tmp_path / f'{name}.wav', rng.normal(0, 0.1, 5000).astype(np.float32), RATE_HZ)
    chosen = Corruption((10.0,), str(tmp_path), sound='.flac')
    made = Manifest.load(corrupt(spoken, chosen, tmp_path / 'out').path)
    facts = json.loads(made.samples[0].corruption)
    # 16,000 samples of pieces of 5,000: four of them.
    assert len(facts['files']) == 4
    assert set(facts['files']) <= {'x.wav', 'y.wav'}
    assert made.samples[0].audio.endswith('.flac')


def test_what_would_have_clipped_is_made_quieter_and_told(tmp_path):
    write_audio(tmp_path / 'loud.wav', tone(0.5, loudness=0.95), RATE_HZ)
    manifest = Manifest(Facts('x', root=str(tmp_path)), (Sample('loud', audio='loud.wav'),))
    made = corrupt(manifest, Corruption((0.0,)), tmp_path / 'out')
    facts = json.loads(Manifest.load(made.path).samples[0].corruption)
    assert facts['clipped'] > 0
    assert facts['level'] == pytest.approx(1 / facts['peak'])
    assert made.quieter == {'loud': pytest.approx(20 * np.log10(facts['peak']))}
    assert np.abs(_heard(tmp_path / 'out' / 'media' / 'loud.wav')).max() == pytest.approx(1.0, abs=1e-4)


def test_films_keep_size_times_and_sound_while_their_pictures_change(films, tmp_path):
    made = corrupt(films, Corruption(occlude_share=0.25, drop_rate=0.3), tmp_path / 'out')
    assert (made.changed, made.untouched, made.failed) == (2, ('none',), {})
    after = Manifest.load(made.path)
    row = after.samples[0]
    facts = json.loads(row.corruption)
    top, left, tall, wide = facts['occluded']
    clean, worse = _pictures(films.media(films.samples[0], 'video')), _pictures(after.media(row, 'video'))
    assert facts['pictures'] == len(clean) == len(worse) == 20
    assert all(image[top + 4 : top + tall - 4, left + 4 : left + wide - 4].max() < 40 for image in worse)
    assert len(Recording.open(after.media(row, 'video')).audio) == 1
    assert _heard(after.media(row, 'video'))[2000:-2000].std() == pytest.approx(0.3 / 2**0.5, rel=0.05)
    assert after.samples[2] == films.samples[2]


def test_any_number_of_processes_writes_the_same_bytes(spoken, films, tmp_path):
    for name, manifest, chosen in (
        ('sounds', spoken, Corruption((5.0, 10.0), 'babble', talkers=2)),
        ('films', films, Corruption(blur_rates=(1, 2, 4), drop_rate=0.3, seed=1)),
    ):
        one, two = (
            corrupt(manifest, chosen, tmp_path / f'{name}{processes}', processes=processes) for processes in (1, 2)
        )
        left, right = (sorted((held.path.parent / 'media').iterdir()) for held in (one, two))
        assert [path.name for path in left] == [path.name for path in right]
        assert [path.read_bytes() for path in left] == [path.read_bytes() for path in right]
        made = [Manifest.load(held.path).samples for held in (one, two)]
        assert [row.corruption for row in made[0]] == [row.corruption for row in made[1]]
        assert (one.changed, one.untouched) == (two.changed, two.untouched)


@pytest.fixture
def stacks(tmp_path):
    """Faces as a file, in a folder of their own, and as single pictures."""
    rng = np.random.default_rng(0)
    pictures = {name: rng.integers(0, 256, (6, 10, 12, 3)).astype(np.uint8) for name in 'abc'}
    np.save(tmp_path / 'a.npy', pictures['a'])
    (tmp_path / 'b').mkdir()
    np.save(tmp_path / 'b' / 'b.npy', pictures['b'])
    (tmp_path / 'c').mkdir()
    (tmp_path / 'c' / '000.png').write_bytes(b'')
    rows = (Sample('a', frames='a.npy'), Sample('b', frames='b'), Sample('c', frames='c'))
    return Manifest(Facts('faces', root=str(tmp_path)), rows), pictures


def test_stacks_of_pictures_are_damaged_as_films_are(stacks, tmp_path):
    manifest, pictures = stacks
    made = corrupt(manifest, Corruption(blur_rates=(2,), brightness=0.5), tmp_path / 'out')
    after = Manifest.load(made.path)
    for row in after.samples[:2]:
        found = np.load(after.media(row, 'frames'))
        wanted = np.stack([np.rint(pyramid_blurred(one, 2) * np.float32(0.5)) for one in pictures[row.sample]])
        assert (found == wanted).all()
        assert json.loads(row.corruption)['frames']['blur_rate'] == 2
    # A folder of single pictures is not read; clean pictures are not passed on as damaged ones.
    assert after.samples[2].frames is None
    assert (made.changed, made.untouched, made.failed) == (2, (), {})


def test_a_stack_of_another_kind_is_named(tmp_path):
    np.save(tmp_path / 'grey.npy', np.zeros((3, 8, 8), np.uint8))
    manifest = Manifest(Facts('x', root=str(tmp_path)), (Sample('grey', frames='grey.npy'),))
    made = corrupt(manifest, Corruption(blur_sigma=1.0), tmp_path / 'out')
    assert 'uint8 (3, 8, 8)' in made.failed['grey']


def test_the_noise_of_the_challenge_is_drawn_as_it_was_and_told(films, tmp_path, rng):
    write_audio(tmp_path / 'speech.wav', rng.normal(0, 0.1, 40_000).astype(np.float32), RATE_HZ)
    rows = tuple(dataclasses.replace(films.samples[0], sample=f'clip{at}') for at in range(8))
    manifest = dataclasses.replace(films, samples=rows)
    made = corrupt(manifest, as_published('mer2023-noise', str(tmp_path), seed=3), tmp_path / 'out')
    after = Manifest.load(made.path)
    facts = [json.loads(row.corruption) for row in after.samples]
    assert {each['snr_db'] for each in facts} <= {5.0, 6.0, 7.0, 8.0, 9.0, 10.0}
    assert {each.get('blur_rate') for each in facts} == {1, 2, 4}
    assert all(each['files'] for each in facts)
    at = next(at for at, each in enumerate(facts) if each['blur_rate'] == 1)
    clean, kept = (_pictures(held.media(held.samples[at], 'video')) for held in (manifest, after))
    assert all((left == right).all() for left, right in zip(clean, kept, strict=True))
    with pytest.raises(UnknownNameError, match='--noise musan/speech'):
        as_published('mer2023-noise')
    with pytest.raises(UnknownNameError, match='mer2023-noise'):
        as_published('mer2022', 'white')


def test_blur_and_brightness_show_in_the_film(films, tmp_path):
    made = Manifest.load(corrupt(films, Corruption(blur_sigma=3.0, brightness=0.5), tmp_path / 'out').path)
    clean = _pictures(films.media(films.samples[0], 'video'))[0].astype(float)
    worse = _pictures(made.media(made.samples[0], 'video'))[0].astype(float)
    assert worse.mean() == pytest.approx(clean.mean() / 2, rel=0.05)
    assert np.abs(np.diff(worse, axis=1)).max() < np.abs(np.diff(clean, axis=1)).max() / 4


def test_a_film_gets_the_noise_in_its_own_sound_and_in_a_file_without_loss(films, tmp_path):
    made = corrupt(films, Corruption((0.0,)), tmp_path / 'out')
    assert made.untouched == ('b c', 'none')
    after = Manifest.load(made.path)
    film, file = (_heard(after.media(after.samples[0], kind)) for kind in ('video', 'audio'))
    size = min(len(film), len(file))
    assert np.corrcoef(film[:size], file[:size])[0, 1] > 0.9
    # Its pictures are the same bits.
    clean, kept = (_pictures(held.media(held.samples[0], 'video')) for held in (films, after))
    assert all((left == right).all() for left, right in zip(clean, kept, strict=True))
    assert [frame.time_s for frame in Recording.open(after.media(after.samples[0], 'video')).frames()] == pytest.approx(
        [index / 25 for index in range(20)], abs=1e-3
    )
    # The silent film is where it was.
    assert after.media(after.samples[1], 'video') == films.media(films.samples[1], 'video').resolve()


def test_a_silent_film_says_that_no_noise_was_added(films, tmp_path):
    made = Manifest.load(corrupt(films, Corruption((0.0,), blur_sigma=1.0), tmp_path / 'out').path)
    first, second = (json.loads(row.corruption) for row in made.samples[:2])
    assert (first['noise'], second['noise'], 'snr_db' in second) == ('white', None, False)


def test_films_of_one_seed_are_the_same_bytes(films, tmp_path):
    chosen = Corruption((5.0,), blur_sigma=1.0, drop_rate=0.2, seed=4)
    for name in ('one', 'two'):
        corrupt(films, chosen, tmp_path / name)
    one, two = (sorted((tmp_path / name / 'media').iterdir()) for name in ('one', 'two'))
    assert [path.name for path in one] == [path.name for path in two]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_a_file_that_cannot_be_read_or_mixed_is_named_and_its_clean_media_are_not_passed_on(tmp_path):
    write_audio(tmp_path / 'silent.wav', np.zeros(8000, np.float32), RATE_HZ)
    write_audio(tmp_path / 'good.wav', tone(0.5), RATE_HZ)
    (tmp_path / 'bad.wav').write_bytes(b'no sound at all')
    rows = tuple(Sample(name, audio=f'{name}.wav') for name in ('silent', 'good', 'bad', 'gone'))
    made = corrupt(Manifest(Facts('x', root=str(tmp_path)), rows), Corruption((5.0,)), tmp_path / 'out')
    assert set(made.failed) == {'silent', 'bad', 'gone'}
    assert 'silent' in made.failed['silent']
    after = Manifest.load(made.path)
    assert [row.audio is None for row in after.samples] == [True, False, True, True]
    assert 'failed' in json.loads(after.samples[2].corruption)


def test_a_disk_that_cannot_be_written_ends_the_run_with_one_error(spoken, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('affekt.corruption.samples.write_audio', full)
    with pytest.raises(RunError, match='No space left on device; make room'):
        corrupt(spoken, Corruption((5.0,)), tmp_path / 'out')


def test_missing_modalities_alone_write_no_media(spoken, tmp_path):
    made = corrupt(spoken, Corruption(missing=('audio:0.5',)), tmp_path / 'out')
    assert made.missing == {'audio': 6, 'video': 0, 'text': 0}
    assert not (tmp_path / 'out' / 'media').exists()
    after = Manifest.load(made.path)
    assert after.media(after.samples[0], 'audio').exists()


def test_a_run_goes_on_only_with_the_same_settings_and_only_when_asked_to(spoken, tmp_path):
    corrupt(spoken, Corruption((5.0,)), tmp_path / 'out')
    with pytest.raises(RunError, match='--resume'):
        corrupt(spoken, Corruption((5.0,)), tmp_path / 'out')
    with pytest.raises(RunError, match='snr_db'):
        corrupt(spoken, Corruption((6.0,)), tmp_path / 'out', resume=True)
    assert corrupt(spoken, Corruption((5.0,)), tmp_path / 'out', resume=True).resumed == 12


def test_a_killed_run_ends_with_the_bytes_of_one_that_was_not(tmp_path):
    corpus = made_up_corpus(0, tmp_path / 'sounds').where(split='train')
    corpus.save(tmp_path / 'm.parquet')
    words = ['corrupt', str(tmp_path / 'm.parquet'), '--snr', '5,10', '--noise', 'brown', '--out']
    command = [sys.executable, '-m', 'affekt.cli', *words, str(tmp_path / 'killed')]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / 'killed' / 'journal.jsonl'
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and journal.stat().st_size > 3000:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / 'killed' / 'manifest.parquet').exists()
    with journal.open('ab') as file:
        file.write(b'{"key": "pair')  # a line that the kill cut
    run = CliRunner()
    again = run.invoke(main, [*words, str(tmp_path / 'killed'), '--resume', '--json'])
    assert 0 < json.loads(again.stdout)['resumed'] < 72
    assert run.invoke(main, [*words, str(tmp_path / 'whole')]).exit_code == 0
    killed, whole = (sorted((tmp_path / name / 'media').glob('*.wav')) for name in ('killed', 'whole'))
    assert [path.name for path in killed] == [path.name for path in whole]
    assert all(left.read_bytes() == right.read_bytes() for left, right in zip(killed, whole, strict=True))
    left, right = (Manifest.load(tmp_path / name / 'manifest.parquet') for name in ('killed', 'whole'))
    assert left.samples == right.samples


def test_a_folder_of_noise_that_changed_is_no_resumed_run(spoken, tmp_path):
    (tmp_path / 'noise').mkdir()
    write_audio(tmp_path / 'noise' / 'a.wav', tone(0.5), RATE_HZ)
    chosen = Corruption((5.0,), str(tmp_path / 'noise'))
    corrupt(spoken, chosen, tmp_path / 'out')
    write_audio(tmp_path / 'noise' / 'b.wav', tone(0.5), RATE_HZ)
    with pytest.raises(RunError, match='noise_files'):
        corrupt(spoken, chosen, tmp_path / 'out', resume=True)


@pytest.mark.parametrize(
    ('chosen', 'error', 'said'),
    [
        ({}, ValueRangeError, 'something to do'),
        ({'snr_db': (300.0,)}, ValueRangeError, 'SNR'),
        ({'snr_db': (float('nan'),)}, ValueRangeError, 'SNR'),
        ({'blur_sigma': 0.0}, ValueRangeError, 'blur'),
        ({'blur_rates': (3,)}, ValueRangeError, 'powers of 2'),
        ({'occlude_share': 1.2}, ValueRangeError, 'occluded share'),
        ({'drop_rate': 1.0}, ValueRangeError, 'drop rate'),
        ({'brightness': float('inf')}, ValueRangeError, 'brightness'),
        ({'snr_db': (5.0,), 'talkers': 0}, ValueRangeError, 'talker'),
        ({'snr_db': (5.0,), 'power': 'loud'}, UnknownNameError, 'whole, active'),
        ({'snr_db': (5.0,), 'sound': '.mp3'}, UnknownNameError, r'\.wav'),
        ({'missing': ('smell',)}, ValueRangeError, 'audio, video or text'),
    ],
)
def test_settings_out_of_range_are_refused(chosen, error, said):
    with pytest.raises(error, match=said):
        Corruption(**chosen)


def test_noise_and_media_that_are_not_there_are_refused_before_anything_is_written(spoken, tmp_path):
    (tmp_path / 'empty').mkdir()
    for chosen, error, said in (
        (Corruption((5.0,), 'blue'), UnknownNameError, 'white, pink, brown, babble'),
        (Corruption((5.0,), str(tmp_path / 'empty')), CorpusError, 'none in'),
        (Corruption(blur_sigma=1.0), CorpusError, 'video or frames in the manifest'),
    ):
        with pytest.raises(error, match=said):
            corrupt(spoken, chosen, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--snr', '5,x'], 'not a list of decibels'),
        (['--snr', '5', '--noise', 'blue'], 'babble, a FOLDER'),
        (['--missing', 'smell'], 'audio, video or text'),
        ([], 'something to do'),
        (['--drop', '2'], 'drop rate'),
        (['--blur-rates', '2,x'], 'not a list of rates'),
        (['--as', 'mer2023-noise'], 'the noise, as the challenge took speech'),
    ],
)
def test_the_command_ends_with_2_and_one_error_on_bad_input(words, said, spoken, tmp_path):
    spoken.save(tmp_path / 'm.parquet')
    ended = CliRunner().invoke(main, ['corrupt', str(tmp_path / 'm.parquet'), '--out', str(tmp_path / 'o'), *words])
    assert ended.exit_code == 2
    assert said in ' '.join(ended.stderr.split())
    assert 'Traceback' not in ended.output


def test_the_command_says_what_it_did(spoken, tmp_path):
    spoken.save(tmp_path / 'm.parquet')
    words = [
        'corrupt',
        str(tmp_path / 'm.parquet'),
        '--out',
        str(tmp_path / 'o'),
        '--snr',
        '-20',
        '--missing',
        'any:0.5',
    ]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 0
    assert '12 samples, media of 12 written' in ended.stdout
    assert 'withheld from' in ended.stdout
    assert 'attenuated by up to' in ended.stdout
    assert 'corrupt' in ended.stderr


def test_what_ends_a_library_on_one_file_is_the_outcome_of_that_sample(tmp_path, monkeypatch):
    from affekt.corruption import samples

    for name in ('good', 'odd'):
        write_audio(tmp_path / f'{name}.wav', tone(0.5), RATE_HZ)
    read = samples.read_sound

    def reads(path, rate_hz):
        if path.stem == 'odd':
            raise KeyError('side data that nobody knows')
        return read(path, rate_hz)

    monkeypatch.setattr(samples, 'read_sound', reads)
    rows = tuple(Sample(name, audio=f'{name}.wav') for name in ('good', 'odd'))
    made = corrupt(Manifest(Facts('x', root=str(tmp_path)), rows), Corruption((5.0,)), tmp_path / 'out')
    assert made.failed == {'odd': "KeyError: 'side data that nobody knows'"}
    assert made.changed == 1
