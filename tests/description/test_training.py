from __future__ import annotations

import dataclasses
import json
from itertools import islice

import numpy as np
import pytest
import torch
from tiny_describers import FELT, toy_describer, toy_examples, toy_trunk

from affekt.description import (
    DescribeSettings,
    Example,
    ExampleBatches,
    Generated,
    Source,
    beginning_logits,
    generated_answers,
    kind_of,
    label_scores,
    open_describer,
    saved_notes,
    standardise,
    train_describer,
)
from affekt.errors import LeakError, RunError, UnknownNameError, ValueRangeError

TRAINING, VALIDATION, UNSEEN = toy_examples(12, 0, seed=0), toy_examples(6, 100, seed=1), toy_examples(12, 200, seed=2)
SHORT = DescribeSettings(
    steps=8, batch_size=4, evaluate_every=4, log_every=2, answer_tokens=4, withheld=0.3, learning_rate=1e-2,
    adapter_rate=1e-2,
)  # fmt: skip


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.fixture(scope='module')
def learnt(tmp_path_factory):
    settings = DescribeSettings(
        steps=40, batch_size=6, learning_rate=1e-2, adapter_rate=1e-2, evaluate_every=20, answer_tokens=8
    )
    folder = tmp_path_factory.mktemp('learnt') / 'run'
    return train_describer(toy_describer(), TRAINING, VALIDATION, settings, folder=folder), folder


def test_a_toy_set_is_learnt_and_labels_are_generated_right_on_clips_that_it_never_saw(learnt):
    trained, _ = learnt
    assert trained.scores == {'uar': 1.0, 'f': 1.0, 'valid': 1.0}
    assert [answer.text for answer in generated_answers(trained.describer, TRAINING)] == [
        example.answer for example in TRAINING
    ]
    answers = generated_answers(trained.describer, UNSEEN, batch_size=5)
    assert label_scores(UNSEEN, answers, FELT) == {'uar': 1.0, 'f': 1.0, 'valid': 1.0}


def test_the_first_label_is_the_likeliest_beginning_of_an_answer_whatever_stands_beside_it(learnt):
    describer = learnt[0].describer
    beginnings = ('S', 'M', 'G')  # of Sad., Mad. and Glad., whose letters are the tokens here
    logits = beginning_logits(describer, UNSEEN, beginnings, batch_size=5)
    assert [FELT[at] for at in logits.argmax(axis=1)] == [example.labels[0] for example in UNSEEN]
    alone = np.concatenate([beginning_logits(describer, [example], beginnings) for example in UNSEEN])
    np.testing.assert_allclose(logits, alone, atol=1e-4)
    asked = describer.prompt({'voice': torch.tensor(UNSEEN[0].sources['voice'])}, kind_of(('voice',)), 'Which emotion?')
    numbers = [describer.vocabulary.numbers(beginning)[0] for beginning in beginnings]
    embedded = describer.eval().embed([asked])
    with torch.no_grad():
        output = describer.trunk(inputs_embeds=embedded.embeddings, position_ids=embedded.positions)
    np.testing.assert_allclose(logits[0], output.logits[0, -1, numbers], atol=1e-4)
    # behind what an answer has begun with, and at its end
    begun = describer.beginning_logits([asked, asked], [*beginnings, ''], ['Sa', 'Glad.'])
    for row, text in zip(begun, ('Sa', 'Glad.'), strict=True):
        words = describer.vocabulary.numbers(text)
        spelled = describer.trunk.get_input_embeddings()(torch.tensor([words]))
        whole = torch.cat([embedded.embeddings, spelled], dim=1)
        with torch.no_grad():
            output = describer.trunk(inputs_embeds=whole, position_ids=torch.arange(whole.shape[1])[None])
        np.testing.assert_allclose(row, output.logits[0, -1, [*numbers, describer.vocabulary.end]], atol=1e-4)
    assert begun[1].argmax() == len(beginnings)
    with pytest.raises(ValueRangeError, match='first token'):
        beginning_logits(describer, UNSEEN, ('Sad', 'Sour'))


def test_answers_follow_the_voice_and_not_the_clip(learnt):
    trained, _ = learnt
    swapped = [
        dataclasses.replace(each, sources=UNSEEN[number - 1].sources) for number, each in enumerate(UNSEEN)
    ]  # fmt: skip
    assert label_scores(UNSEEN, generated_answers(trained.describer, swapped), FELT)['uar'] == 0.0


def test_the_saved_describer_answers_alike_and_says_how_it_was_trained(learnt):
    trained, folder = learnt
    describer = open_describer(folder / 'describer', trunk=toy_trunk())
    assert generated_answers(describer, UNSEEN[:4]) == generated_answers(trained.describer, UNSEEN[:4])
    notes = saved_notes(folder / 'describer')['notes']
    assert notes['step'] == trained.step
    assert notes['validation'] == trained.scores
    assert notes['training']['label_weight'] == 3.0
    logged = [json.loads(line) for line in (folder / 'log.jsonl').read_text().splitlines()]
    assert [row['step'] for row in logged if 'score' in row] == [row['step'] for row in trained.history]
    assert not any('epoch' in row for row in logged)  # batches are of similar lengths: steps are counted, not epochs


def _rich(examples):
    """With words and a face beside the voice, so that something can be withheld."""
    rng = np.random.default_rng(7)
    return [
        dataclasses.replace(
            each, transcript='Well.', sources={**each.sources, 'face': rng.random((2, 3), dtype=np.float32)}
        )
        for each in examples
    ]


def _rich_describer():
    voice = Source('voice', len(FELT), standardised=True, scaled=True, dropout=0.1)
    return toy_describer(voice, Source('face', 3, fusion='gated'), dropout=0.1)


def test_a_killed_run_goes_on_to_the_same_losses_and_weights(tmp_path):
    training, validation = _rich(TRAINING), _rich(VALIDATION[:4])
    whole, rows = [], []
    straight = train_describer(
        _rich_describer(), training, validation, SHORT, folder=tmp_path / 'straight', report=whole.append
    )

    def killed_at_six(row):
        rows.append(row)
        if row['step'] == 6:
            raise Killed

    with pytest.raises(Killed):
        train_describer(
            _rich_describer(), training, validation, SHORT, folder=tmp_path / 'killed', report=killed_at_six
        )
    torch.rand(5)  # other draws in between change nothing
    rows = rows[:2]
    resumed = train_describer(
        _rich_describer(), training, validation, SHORT, folder=tmp_path / 'killed', resume=True, report=rows.append
    )
    assert [row['step'] for row in rows] == [2, 4, 6, 8]
    assert [row['loss'] for row in rows] == pytest.approx([row['loss'] for row in whole], abs=1e-6)
    assert resumed.history == straight.history
    assert resumed.step == straight.step
    for name, value in straight.describer.learnt().items():
        torch.testing.assert_close(resumed.describer.learnt()[name], value, rtol=0, atol=1e-6)
    changed = [dataclasses.replace(training[0], transcript='Oh well.'), *training[1:]]
    with pytest.raises(RunError):
        train_describer(_rich_describer(), changed, validation, SHORT, folder=tmp_path / 'killed', resume=True)


def test_a_fine_stage_keeps_what_was_measured_and_goes_on_from_the_coarse_one(learnt):
    trained, _ = learnt
    describer = toy_describer()
    describer.fill(trained.describer.learnt())
    mean = describer.reader('voice').mean.clone()
    shifted = [dataclasses.replace(each, sources={'voice': each.sources['voice'] + 0.1}) for each in TRAINING]
    settings = dataclasses.replace(SHORT, stage='fine', steps=2, evaluate_every=2, withheld=0.0, learning_rate=1e-6)
    fine = train_describer(
        describer, shifted, VALIDATION, dataclasses.replace(settings, adapter_rate=0.0, answer_tokens=8)
    )
    assert torch.equal(describer.reader('voice').mean, mean)
    assert fine.scores['uar'] == 1.0
    again = dataclasses.replace(settings, stage='coarse', adapter_rate=0.0)
    train_describer(describer, shifted, VALIDATION, again)
    assert torch.allclose(describer.reader('voice').mean, mean + 0.1, atol=1e-5)


def test_training_statistics_equal_numpy_and_count_each_clip_once():
    describer = toy_describer()
    rng = np.random.default_rng(0)
    clips = [(1e4 + rng.standard_normal((steps, 3))).astype(np.float32) for steps in (1, 5, 9)]
    for values in clips:
        values[:, 2] = 7.0
    examples = [Example(f'{at}', {'voice': each}, '', 'What?', 'Sad.') for at, each in enumerate(clips)]
    standardise(describer, [*examples, examples[0]])
    every, reader = np.concatenate(clips).astype(np.float64), describer.reader('voice')
    assert np.allclose(reader.mean, every.mean(axis=0), rtol=1e-7)
    assert np.allclose(reader.deviation, [*every.std(axis=0)[:2], 1.0], rtol=1e-5)


def test_what_is_withheld_is_seeded_leaves_one_part_and_spares_what_the_answer_cites():
    describer, settings = _rich_describer(), dataclasses.replace(SHORT, withheld=0.6)
    examples = [
        dataclasses.replace(each, cites=('face',)) if at % 2 else each for at, each in enumerate(_rich(TRAINING))
    ]
    batches = ExampleBatches(describer, examples, kind_of(('voice', 'face')), settings)
    seen = list(islice(batches, 40))
    again = list(islice(batches.starting_at(10), 5))
    assert [[asked.pieces for asked in batch] for batch in again] == [
        [asked.pieces for asked in batch] for batch in seen[10:15]
    ]
    every = [asked for batch in seen for asked in batch]
    shares = [np.mean([name in asked.features for asked in every]) for name in ('voice', 'face')]
    assert 0.35 < shares[0] < 0.6
    assert shares[1] > 0.65
    forms = {asked.pieces.sources for asked in every}
    assert forms == {(), ('voice',), ('face',), ('voice', 'face')}
    whole = ExampleBatches(describer, examples, kind_of(('voice', 'face')), dataclasses.replace(settings, withheld=0.0))
    assert {asked.pieces.sources for asked in next(iter(whole))} == {('voice', 'face')}


def test_label_scores_by_hand():
    def example(*labels):
        return Example('a', {}, 'Hm.', 'What?', ', '.join(labels), labels)

    truth = [example('sad'), example('sad'), example('happy'), example('happy', 'calm')]
    answers = [
        Generated('Sad.', (), 'end'), Generated('Happy, sad.', (), 'end'), Generated('Gibberish', (), 'end'),
        Generated('The person seems calm and happy.', (), 'length'),
    ]  # fmt: skip
    scores = label_scores(truth, answers, {'sad', 'happy', 'calm'})
    # of the second only the first label counts; sad 1/2, happy 1/2, calm 1
    assert scores['uar'] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    # 1, then 2 / 3 for one of two named, 0, and 1
    assert scores['f'] == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    assert scores['valid'] == pytest.approx(2 / 4)
    with pytest.raises(ValueRangeError):
        label_scores([], [], set())


def test_a_clip_on_both_sides_and_sides_without_labels_are_refused():
    describer = toy_describer()
    with pytest.raises(LeakError, match='clip3'):
        train_describer(describer, TRAINING, [*VALIDATION, TRAINING[3]], SHORT)
    bare = [dataclasses.replace(each, labels=()) for each in VALIDATION]
    others = [dataclasses.replace(each, answer='Proud.', labels=('proud',)) for each in VALIDATION]
    for training, validation in (([], VALIDATION), (TRAINING, []), (TRAINING, bare), (TRAINING, others)):
        with pytest.raises(ValueRangeError):
            train_describer(describer, training, validation, SHORT)


@pytest.mark.parametrize(
    ('changed', 'error'),
    [
        ({'stage': 'third'}, UnknownNameError),
        ({'score': 'loss'}, UnknownNameError),
        ({'precision': 'float8'}, UnknownNameError),
        ({'steps': 0}, ValueRangeError),
        ({'sorted_batches': 0}, ValueRangeError),
        ({'label_weight': float('nan')}, ValueRangeError),
        ({'withheld': 1.0}, ValueRangeError),
        ({'evaluate_every': 15}, ValueRangeError),
        ({'patience': 0}, ValueRangeError),
        ({'batch_tokens': 0}, ValueRangeError),
        ({'clip_norm': -1.0}, ValueRangeError),
        ({'least': 2.0}, ValueRangeError),
    ],
)
def test_settings_that_cannot_be_are_refused(changed, error):
    with pytest.raises(error):
        dataclasses.replace(DescribeSettings(), **changed)


def test_precision_is_that_of_the_device():
    assert DescribeSettings().engine().precision == 'float32'
    assert DescribeSettings(precision='bfloat16').engine().precision == 'bfloat16'
    schedule = DescribeSettings(steps=100).engine().schedule
    assert (schedule.warm_up, schedule.share(100)) == (5, pytest.approx(0.1))
