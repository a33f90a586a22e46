from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from affekt.corpora import Facts, Manifest, Sample
from affekt.description import (
    Example,
    TemplateAnswers,
    Terciles,
    annotated,
    examples_from,
    readings_from,
)
from affekt.description.examples import digest_of
from affekt.errors import CorpusError, ShapeError, TableError, ValueRangeError
from affekt.features import Features, Provenance, Store, write_features

VOICE = np.arange(6, dtype=np.float32).reshape(2, 3)


def _example(**changed):
    return Example(**{'name': 'a', 'sources': {'voice': VOICE}, 'transcript': '', 'question': 'What?', **changed})


def _store(folder, name, modality, columns, rows, missing=()):
    made = Provenance(name, 'x' * 64, len(columns), {}, columns, missing=missing, modality=modality)
    features = [Features(clip, np.array(values, np.float32), columns, None, 'x' * 64) for clip, values in rows.items()]
    write_features(folder / name / f'{name}.features.arrow', features, made)
    return Store(folder / name)


@pytest.fixture
def stores(tmp_path):
    voice = {f'clip{number}': [[100.0 + number, -30.0]] for number in range(6)}
    face = {'clip0': [[0.1], [0.3]], 'clip1': [[0.8], [0.8]]}
    return {
        'voice': _store(
            tmp_path, 'voices', 'audio', ('f0_mean_hz', 'loudness_lufs'), voice, missing=(('silent', 'no sound'),)
        ),
        'face': _store(tmp_path, 'faces', 'video', ('mouthSmileLeft_mean',), face),
    }


def _manifest(*more):
    rows = [Sample(f'clip{number}', text=f'Word {number}.', category='anger') for number in range(6)]
    return Manifest(Facts('toy', categories=('anger',)), [*rows, *more])


@pytest.mark.parametrize(
    ('changed', 'error'),
    [
        ({'answer': 'Sad.', 'sources': {}, 'transcript': ' '}, ValueRangeError),
        ({'answer': ' '}, ValueRangeError),
        ({'answer': 'Sad.', 'question': ''}, ValueRangeError),
        ({'answer': 'Sad.', 'labels': ('happy',)}, ValueRangeError),
        ({'answer': 'Sad.', 'cites': ('face',)}, ValueRangeError),
        ({'answer': 'Sad.', 'sources': {'voice': VOICE[:0]}}, ShapeError),
        ({'answer': 'Sad.', 'sources': {'voice': np.float32(3)}}, ShapeError),
    ],
)
def test_an_example_that_teaches_nothing_or_something_false_is_refused(changed, error):
    assert _example(answer='Sad.', labels=('sad',), cites=('voice',))
    with pytest.raises(error):
        _example(**changed)


def test_examples_have_cached_features_words_and_the_published_answer(stores):
    examples = examples_from(_manifest(), stores)
    assert [each.name for each in examples.examples] == [f'clip{number}' for number in range(6)]
    first, last = examples.examples[0], examples.examples[-1]
    assert set(first.sources) == {'voice', 'face'}
    assert set(last.sources) == {'voice'}
    assert np.array_equal(first.sources['face'], np.float32([[0.1], [0.3]]))
    assert np.shares_memory(first.sources['voice'], stores['voice'].values('clip0'))
    assert (first.transcript, first.answer) == ('Word 0.', "The character's emotional state is anger.")
    assert first.labels == ('anger',)


def test_what_cannot_be_described_is_left_out_with_its_reason(stores):
    manifest = _manifest(
        Sample('silent', category='anger'), Sample('unlabelled', text='Hm.'), Sample('strange', category='anger'),
        Sample('read', text='Only words.', category='anger'),
    )  # fmt: skip
    examples = examples_from(manifest, stores)
    assert examples.left_out == {
        'silent': 'no sound', 'unlabelled': 'not annotated', 'strange': 'no features, and nothing was spoken',
    }  # fmt: skip
    assert len(examples) == 7
    assert examples.examples[-1].sources == {}
    with pytest.raises(CorpusError, match='not annotated'):
        examples_from(_manifest().replaced(category=[None] * 6), stores)


def test_what_the_manifest_withholds_is_neither_read_nor_cited(stores):
    readings = readings_from(stores.values(), [f'clip{number}' for number in range(6)])
    asking = TemplateAnswers(readings=readings, terciles=Terciles.of(readings.values()), most=9)
    withheld = _manifest().replaced(missing=['audio', 'text', 'video', None, None, None])
    made = {each.name: each for each in examples_from(withheld, stores, asking).examples}
    assert set(made['clip0'].sources) == {'face'}
    assert made['clip0'].cites == ('face',)
    assert made['clip1'].transcript == ''
    assert 'face' not in made['clip2'].sources
    assert made['clip3'].cites == ('voice',)


def test_an_answer_that_cites_what_the_clip_lacks_is_left_out(stores):
    readings = readings_from(stores.values(), ['clip0', 'clip1'])
    asking = TemplateAnswers(readings=readings, terciles=Terciles.of(readings.values()), most=9)
    examples = examples_from(_manifest(), {'face': stores['face']}, asking)
    assert {examples.left_out[name] for name in ('clip0', 'clip1')} == {'its answers cite what it lacks'}


def test_readings_are_means_over_steps_of_columns_that_can_be_cited(stores):
    readings = readings_from(stores.values(), ['clip0', 'clip5', 'unknown'])
    assert readings['clip0'] == {
        'pitch': pytest.approx(100.0), 'loudness': pytest.approx(-30.0), 'smile': pytest.approx(0.2),
    }  # fmt: skip
    assert readings['clip5'] == {'pitch': pytest.approx(105.0), 'loudness': pytest.approx(-30.0)}
    assert readings['unknown'] == {}
    # loudness is the same in all, so that no clip is loud or quiet among them
    assert set(Terciles.of(readings.values()).bounds) == {'pitch'}


def test_a_store_without_citable_columns_is_refused(tmp_path):
    store = _store(tmp_path, 'plain', 'audio', ('x',), {'clip0': [[1.0]]})
    with pytest.raises(TableError, match='acoustics-utt'):
        readings_from([store], ['clip0'])


def test_a_digest_changes_with_any_word_number_and_side():
    example = _example(answer='Sad.')
    others = [
        dataclasses.replace(example, answer='Sad!'), dataclasses.replace(example, sources={'face': VOICE}),
        dataclasses.replace(example, sources={'voice': VOICE[::-1]}), dataclasses.replace(example, cites=('voice',)),
    ]  # fmt: skip
    digests = [digest_of([each]) for each in (example, *others)]
    digests += [digest_of([example, example]), digest_of([example], [example]), digest_of([], [example])]
    assert len(set(digests)) == len(digests)


def test_what_people_wrote_becomes_answers_to_the_published_questions(stores):
    row = Sample('clip0', description='She smiles, glad and calm.', openset='["glad", "relieved"]')
    described, named = annotated(row)
    assert (described.answer, described.labels) == ('She smiles, glad and calm.', ('glad',))
    assert (named.answer, named.labels) == ("The character's emotional state is glad, relieved.", ('glad', 'relieved'))
    assert annotated(Sample('clip1')) == []
    made = examples_from(Manifest(Facts('toy'), [row, Sample('clip1')]), stores, annotated)
    assert [example.name for example in made.examples] == ['clip0', 'clip0']
    assert made.left_out == {'clip1': 'not annotated'}
