"""Extraction: the same in one process, several and in shards; on after a kill; what is missing is named."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_recipes import DYING, LENGTHS, NAN, WEIGHTLESS

from affekt.corpora import Facts, Manifest, Sample, made_up_corpus
from affekt.errors import CorpusError, RunError, UnknownNameError, ValueRangeError, WeightsError
from affekt.features import RECIPES, Store, check_store, extract, hashed_texts, recipe_named, write_features
from affekt.media.synthetic import tone
from affekt.media.writing import write_audio
from affekt.weights import MODELS, state


def _all(folder):
    store = Store(folder)
    return {name: store.values(name).tolist() for name in sorted(store.names)}, store.missing


def test_processes_and_shards_give_what_one_process_gives(tmp_path):
    manifest = made_up_corpus()
    extract(manifest, LENGTHS, tmp_path / 'one')
    extract(manifest, LENGTHS, tmp_path / 'two', processes=2, batch=50)
    for number in (3, 1, 2):
        extract(manifest, LENGTHS, tmp_path / 'shards', shard=(number, 3))
    one = _all(tmp_path / 'one' / 'lengths')
    assert one == _all(tmp_path / 'two' / 'lengths')
    assert one == _all(tmp_path / 'shards' / 'lengths')
    assert len(one[0]) == 120
    assert one[1] == {name: 'ends in t3' for name in manifest.names if name.endswith('_t3')}
    store = Store(tmp_path / 'one' / 'lengths')
    np.testing.assert_array_equal(store['pair01_d1_t0'].times, np.arange(len(store.values('pair01_d1_t0'))) / 2)
    assert store.provenance.hash == LENGTHS.hash


def test_a_dead_worker_loses_nothing_that_was_finished(tmp_path):
    manifest = made_up_corpus()
    marked = dataclasses.replace(manifest, facts=dataclasses.replace(manifest.facts, version=str(tmp_path / 'died')))
    with pytest.raises(RunError, match='died'):
        extract(marked, DYING, tmp_path / 'out', processes=2)
    assert not list((tmp_path / 'out' / 'lengths').glob('shard*'))
    made = extract(marked, DYING, tmp_path / 'out', processes=2)
    assert made.resumed > 0
    assert made.samples == 120
    extract(manifest, LENGTHS, tmp_path / 'plain')
    assert _all(tmp_path / 'out' / 'lengths') == _all(tmp_path / 'plain' / 'lengths')
    assert not list((tmp_path / 'out' / 'lengths').glob('.work*'))


def test_a_killed_extraction_goes_on_where_it_was(tmp_path):
    manifest = made_up_corpus()
    marked = dataclasses.replace(manifest, facts=dataclasses.replace(manifest.facts, version=str(tmp_path / 'died')))
    marked.save(tmp_path / 'm.parquet')
    code = (
        'from pathlib import Path; from made_up_recipes import DYING; from affekt.corpora import Manifest; '
        f'from affekt.features import extract; extract(Manifest.load(Path({str(tmp_path / "m.parquet")!r})), DYING, '
        f'Path({str(tmp_path / "out")!r}))'
    )
    killed = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parent, capture_output=True)
    assert killed.returncode == -9
    made = extract(marked, DYING, tmp_path / 'out')
    assert made.resumed == 7  # seven batches of ten before the 73rd sample, the first of the fifth pair
    extract(manifest, LENGTHS, tmp_path / 'plain')
    assert _all(tmp_path / 'out' / 'lengths') == _all(tmp_path / 'plain' / 'lengths')


def test_a_kill_before_the_first_batch_does_not_refuse_other_weights(tmp_path):
    made_up_corpus().save(tmp_path / 'm.parquet')
    code = (
        'from pathlib import Path; from made_up_recipes import KILLED_WHILE_OPENING; '
        'from affekt.corpora import Manifest; from affekt.features import extract; '
        f'extract(Manifest.load(Path({str(tmp_path / "m.parquet")!r})), KILLED_WHILE_OPENING, Path({str(tmp_path)!r}))'
    )
    killed = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parent, capture_output=True)
    assert killed.returncode == -9
    assert (tmp_path / 'lengths' / '.work-1-of-1' / 'settings.json').exists()
    made = extract(made_up_corpus(), LENGTHS, tmp_path)
    assert made.resumed == 0
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]


def test_what_is_finished_is_not_done_again_and_other_samples_are_refused(tmp_path):
    manifest = made_up_corpus()
    first = extract(manifest, LENGTHS, tmp_path)
    written = first.path.stat().st_mtime_ns
    assert extract(manifest, LENGTHS, tmp_path).samples == first.samples
    assert first.path.stat().st_mtime_ns == written
    with pytest.raises(RunError, match='others'):
        extract(manifest.where(split='train'), LENGTHS, tmp_path)
    with pytest.raises(RunError, match='others'):
        extract(manifest, dataclasses.replace(LENGTHS, facts={'tool': 'another'}), tmp_path)


@pytest.mark.parametrize('processes', [1, 2])
def test_a_recipe_that_cannot_be_opened_says_why_from_a_worker_too(tmp_path, processes):
    with pytest.raises(WeightsError, match='got none'):
        extract(made_up_corpus(), WEIGHTLESS, tmp_path / 'features', processes=processes)
    assert list(tmp_path.iterdir()) == []  # or else other weights would be refused as another run
    (tmp_path / 'features').mkdir()
    with pytest.raises(WeightsError, match='got none'):
        extract(made_up_corpus(), WEIGHTLESS, tmp_path / 'features', processes=processes)
    assert list((tmp_path / 'features').iterdir()) == []


def test_progress_counts_samples(tmp_path):
    told = []
    extract(made_up_corpus(), LENGTHS, tmp_path, batch=60, progress=lambda *words: told.append(words))
    assert told == [('features', 0, 144), ('features', 60, 144), ('features', 120, 144), ('features', 144, 144)]


def test_what_ends_an_encoder_on_one_sample_is_the_outcome_of_that_one(tmp_path):
    manifest = made_up_corpus()
    bad = manifest.names[3]

    def encoder(corpus, samples):
        if any(row.sample == bad for row in samples):
            raise KeyError('side data that nobody knows')
        return [LENGTHS.features(row.sample, [[1, 2, 3]]) for row in samples]

    made = extract(manifest, dataclasses.replace(LENGTHS, open=lambda recipe: encoder), tmp_path)
    assert made.unreadable == dict(made.missing) == {bad: "unreadable: KeyError: 'side data that nobody knows'"}
    assert made.samples == len(manifest) - 1


def test_a_file_that_is_no_longer_whole_is_made_again(tmp_path):
    manifest = made_up_corpus()
    path = extract(manifest, LENGTHS, tmp_path).path
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert extract(manifest, LENGTHS, tmp_path).samples == 120
    assert path.read_bytes() == whole


def test_a_clip_that_is_cut_anew_is_another_one(tmp_path):
    def encoder(corpus, samples):
        return [heard.features(row.sample, [[1, 2, 3]]) for row in samples]

    heard = dataclasses.replace(LENGTHS, name='heard', modality='audio', open=lambda recipe: encoder)
    (tmp_path / 'a.wav').write_bytes(b'long')
    manifest = Manifest(Facts('toy', root=str(tmp_path)), (Sample('a', audio='a.wav'),))
    for _ in range(2):
        extract(manifest, heard, tmp_path)
    (tmp_path / 'a.wav').write_bytes(b'cut')
    with pytest.raises(RunError, match='other texts, files or windows'):
        extract(manifest, heard, tmp_path)


@pytest.mark.parametrize('is_folder', [False, True])
@pytest.mark.parametrize('is_finished', [True, False])
def test_a_clip_that_is_cut_anew_to_the_same_size_and_time_is_another_one(is_finished, is_folder, tmp_path):
    def encoder(corpus, samples):
        if len(passed) == most:
            raise KeyboardInterrupt
        passed.append(samples[0].sample)
        return [seen.features(row.sample, [[1, 2, 3]]) for row in samples]

    passed, most = [], 2 if is_finished else 1
    seen = dataclasses.replace(LENGTHS, name='seen', modality='video', open=lambda recipe: encoder)
    clip = tmp_path / 'a'
    if is_folder:
        clip.mkdir()
    path = clip / '1.jpg' if is_folder else clip
    path.write_bytes(b'long')
    when = path.stat()
    (tmp_path / 'b').write_bytes(b'other')
    field = 'frames' if is_folder else 'video'
    manifest = Manifest(Facts('toy', root=str(tmp_path)), tuple(Sample(name, **{field: name}) for name in 'ab'))
    with contextlib.nullcontext() if is_finished else pytest.raises(KeyboardInterrupt):
        extract(manifest, seen, tmp_path / 'out', batch=1)
    path.write_bytes(b'diff')
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    most = 9
    with pytest.raises(RunError):
        extract(manifest, seen, tmp_path / 'out', batch=1)
    path.write_bytes(b'long')  # as it was: a later time alone is no change
    assert extract(manifest, seen, tmp_path / 'out', batch=1).samples == 2
    assert passed == ['a', 'b']


def test_a_file_of_features_that_tells_only_sizes_is_still_held_to_them(tmp_path):
    def encoder(corpus, samples):
        return [heard.features(row.sample, [[1, 2, 3]]) for row in samples]

    heard = dataclasses.replace(LENGTHS, name='heard', modality='audio', open=lambda recipe: encoder)
    (tmp_path / 'a.wav').write_bytes(b'long')
    manifest = Manifest(Facts('toy', root=str(tmp_path)), (Sample('a', audio='a.wav'),))
    path = extract(manifest, heard, tmp_path).path
    store = Store(path)
    facts = {name: value for name, value in store.provenance.facts.items() if name != 'media_sha256'}
    sizes = hashlib.sha256(b'[4]').hexdigest()[:16]
    older = dataclasses.replace(store.provenance, facts={**facts, 'media_sizes': sizes})
    write_features(path, [heard.features('a', [[1, 2, 3]])], older)
    assert extract(manifest, heard, tmp_path).samples == 1
    (tmp_path / 'a.wav').write_bytes(b'longer')
    with pytest.raises(RunError, match='other texts, files or windows'):
        extract(manifest, heard, tmp_path)


@pytest.mark.parametrize('processes', [1, 2])
def test_nan_in_a_sample_is_the_outcome_of_that_sample_alone(processes, tmp_path):
    manifest = made_up_corpus()
    made = extract(manifest, NAN, tmp_path, processes=processes, batch=50)
    odd = [name for name in manifest.names if name.endswith('_t3')]
    assert dict(made.missing) == dict.fromkeys(odd, 'features that are not finite: nan in length, row 0')
    store = Store(made.path)
    assert (len(store), made.samples) == (len(manifest) - len(odd), len(manifest) - len(odd))
    np.testing.assert_array_equal(store.values(manifest.names[0]), [[1, 1, 1]])


def test_bad_wishes_are_refused(tmp_path):
    manifest = made_up_corpus()
    with pytest.raises(ValueRangeError):
        extract(manifest, LENGTHS, tmp_path, shard=(3, 2))
    with pytest.raises(UnknownNameError, match='hash512'):
        extract(manifest, 'bert', tmp_path)
    with pytest.raises(CorpusError, match='audio or video'):
        extract(manifest, 'acoustics-utt', tmp_path)


def test_recipes_have_their_own_hashes_that_follow_their_facts():
    hashes = {recipe.hash for recipe in RECIPES.values()}
    assert len(hashes) == len(RECIPES)
    changed = dataclasses.replace(LENGTHS, facts={'tool': 'another'})
    assert changed.hash != LENGTHS.hash
    assert dataclasses.replace(changed, facts={'tool': 'test'}).hash == LENGTHS.hash


def test_hashed_words_of_a_known_sentence():
    # the nine places of `03bSnISJMiM_1` of CMU-MOSI, each a third
    row = hashed_texts(['ANYHOW IT WAS REALLY GOOD'])[0]
    signs = {9: 1, 69: -1, 127: -1, 146: 1, 245: -1, 308: -1, 423: 1, 443: 1, 496: -1}
    assert {int(at): round(float(row[at]) * 3) for at in np.flatnonzero(row)} == signs
    assert np.abs(row[list(signs)]).tolist() == pytest.approx([1 / 3] * 9)
    assert not hashed_texts(['', '?!']).any()
    assert np.flatnonzero(hashed_texts(['你好'])[0]).size == 3  # two characters and their pair


def test_an_empty_text_is_zeros_for_hashed_words_and_nothing_for_sentences(tmp_path):
    facts = Facts('toy')
    manifest = Manifest(facts, (Sample('said', text='So it is.'), Sample('silent', text=''), Sample('unknown')))
    extract(manifest, 'hash512', tmp_path)
    store = Store(tmp_path / 'hash512')
    assert check_store(store).zero == ('silent',)
    assert store.missing == {'unknown': 'no transcript'}


def test_another_column_of_text_is_another_recipe(tmp_path):
    manifest = Manifest(Facts('toy'), (Sample('a', text='好', chinese='好', english='So it is.'),))
    recipe = recipe_named('hash512', 'english')
    extract(manifest, recipe, tmp_path)
    store = Store(tmp_path / 'hash512-english')
    np.testing.assert_array_equal(store.matrix(['a']), hashed_texts(['So it is.']))
    assert recipe.hash != RECIPES['hash512'].hash
    for name, column in (('acoustics-utt', 'english'), ('hash512', 'german')):
        with pytest.raises(UnknownNameError, match='chinese'):
            recipe_named(name, column)


def test_a_corpus_where_nobody_speaks_leaves_an_empty_store_that_says_so(tmp_path):
    manifest = made_up_corpus().keep(lambda row: row.sample.endswith('_t3'))
    made = extract(manifest, LENGTHS, tmp_path)
    assert (made.samples, len(made.missing)) == (0, 24)
    assert check_store(Store(tmp_path / 'lengths'), manifest).is_sound is False


def test_a_recipe_of_an_unknown_modality_is_refused():
    with pytest.raises(UnknownNameError, match='audio'):
        dataclasses.replace(LENGTHS, modality='smell')


@pytest.fixture
def sentences():
    if state(MODELS['minilm-l6-int8.onnx']) != 'verified':
        pytest.skip('minilm-l6-int8.onnx is absent (run `affekt weights get`)')


def test_sentence_embeddings_are_those_of_the_encoder_whatever_the_batch(tmp_path, sentences):
    from affekt.text.sentences import SentenceEncoder

    manifest = made_up_corpus().where(split='test')
    made = extract(manifest, 'minilm-utt', tmp_path, batch=7)
    store = Store(tmp_path / 'minilm-utt')
    expected = SentenceEncoder().encode([row.text for row in manifest.samples])
    np.testing.assert_allclose(store.matrix(manifest.names), expected, atol=1e-6)
    assert made.missing == ()
    layers = extract(manifest, 'minilm-layers-utt', tmp_path)
    assert Store(layers.path.parent).dimension == 7 * 384


def test_acoustics_of_made_up_tones_hear_their_pitch_and_name_what_cannot_be_read(tmp_path):
    manifest = made_up_corpus(media=tmp_path / 'sound').where(split='val')
    (tmp_path / 'sound' / 'pair05_d1_t0.wav').write_bytes(b'RIFF')
    (tmp_path / 'sound' / 'pair05_d1_t1.wav').unlink()
    cut = tmp_path / 'sound' / 'pair05_d1_t2.wav'
    cut.write_bytes(cut.read_bytes()[:-8000])
    made = extract(manifest, 'acoustics-utt', tmp_path / 'out')
    store = Store(tmp_path / 'out' / 'acoustics-utt')
    assert set(store.missing) == set(made.unreadable) == {'pair05_d1_t0', 'pair05_d1_t1'}
    assert list(store.partial) == ['pair05_d1_t2']
    assert store.partial['pair05_d1_t2'].startswith('not read whole: ')
    assert dict(made.partial) == store.partial
    pitch = store.provenance.columns.index('f0_mean_hz')
    for row in manifest.samples:
        if row.sample in store:
            expected = {'neutral': 200.0, 'happy': 300.0, 'sad': 120.0}[row.category]
            assert store.values(row.sample)[0, pitch] == pytest.approx(expected, rel=0.02)


def test_acoustic_frames_have_times_and_no_nan(tmp_path):
    manifest = made_up_corpus(media=tmp_path / 'sound').where(dialogue='pair01_d1')
    extract(manifest, 'acoustics-frm', tmp_path / 'out')
    shutil.rmtree(tmp_path / 'sound')
    store = Store(tmp_path / 'out' / 'acoustics-frm')
    one = store['pair01_d1_t0']
    assert one.values.shape == (100, 9)
    np.testing.assert_allclose(one.times, (np.arange(100) + 0.5) / 100, atol=1e-6)
    assert check_store(store, manifest).is_sound


def test_a_part_of_ravdess_in_two_processes(tmp_path, shared_data):
    from affekt.corpora import import_corpus

    manifest = import_corpus('ravdess', shared_data / 'ravdess_speech').where(speaker='01')
    made = extract(manifest, 'acoustics-utt', tmp_path, processes=2, shard=(1, 10))
    assert made.samples == 6
    store = Store(made.path.parent, partial=True)
    pitch = store.matrix(store.names)[:, store.provenance.columns.index('f0_mean_hz')]
    assert ((pitch > 75) & (pitch < 400)).all()  # a man, acting


@pytest.mark.parametrize('ending', ['m4a', 'flac', 'mp3', 'wav'])
def test_only_segments_that_damage_touches_are_not_whole(tmp_path, ending):
    path = tmp_path / f'long.{ending}'
    noise = np.random.default_rng(0).normal(size=320_000).astype(np.float32) * 0.05
    write_audio(path, tone(20.0, 200.0) + noise, 16_000)
    rows = tuple(Sample(f's{at}', audio=path.name, start_s=5.0 * at, end_s=5.0 * at + 3.8) for at in range(4))
    manifest = Manifest(Facts('toy', root=str(tmp_path)), rows)
    content = path.read_bytes()
    if ending == 'wav':
        path.write_bytes(content[: len(content) * 9 // 10])
    else:
        at = len(content) * 3 // 8  # about 7.5 of 20 s
        path.write_bytes(content[:at] + np.random.default_rng(1).bytes(500) + content[at + 500 :])
    store = Store(extract(manifest, 'acoustics-utt', tmp_path / 'out').path.parent)
    assert list(store.partial) == ['s3' if ending == 'wav' else 's1']
