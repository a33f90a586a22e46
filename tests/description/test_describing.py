from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from affekt.description import Asked, Generated, Limits, describe, reproduction_record, weights_sha256
from affekt.errors import CorpusError, RunError, ValueRangeError

SHORT = Limits(tokens=6)


@pytest.fixture(scope='module')
def named(clips):
    return [(f'clip {number}', clip) for number, clip in enumerate(clips[:6])]


@pytest.fixture(scope='module')
def wanted(describer, named):
    return list(describe(named, describer, SHORT, batch_size=1))


def test_batches_change_neither_answers_nor_their_order(describer, named, wanted):
    assert [description.name for description in wanted] == [name for name, _ in named]
    assert list(describe(named, describer, SHORT, batch_size=4)) == wanted
    hot = replace(SHORT, temperature=1.5)
    drawn = list(describe(named, describer, hot, batch_size=4))
    assert drawn == list(describe(named, describer, hot, batch_size=3))
    assert drawn != wanted
    with pytest.raises(ValueRangeError):
        next(describe(named, describer, batch_size=0))


def test_a_stopped_run_goes_on_to_the_same_answers(tmp_path, describer, named, wanted, monkeypatch):
    begun = describe(named, describer, SHORT, batch_size=2, folder=tmp_path / 'run')
    assert [next(begun), next(begun), next(begun)] == wanted[:3]
    begun.close()
    with pytest.raises(RunError, match='--resume'):
        next(describe(named, describer, SHORT, folder=tmp_path / 'run'))
    with pytest.raises(RunError, match='limits'):
        next(describe(named, describer, Limits(tokens=7), folder=tmp_path / 'run', resume=True))
    asked = []
    whole = type(describer).generate

    def counting(self, batch, *given, **settings):
        asked.extend(batch)
        return whole(self, batch, *given, **settings)

    monkeypatch.setattr(type(describer), 'generate', counting)
    assert list(describe(named, describer, SHORT, batch_size=4, folder=tmp_path / 'run', resume=True)) == wanted
    assert len(asked) == 2
    changed = [
        (name, Asked(clip.pieces, {key: value + 1 for key, value in clip.features.items()})) for name, clip in named
    ]
    list(describe(changed[:2], describer, SHORT, folder=tmp_path / 'run', resume=True))
    assert len(asked) == 2 + sum(bool(clip.features) for _, clip in named[:2])
    settings = json.loads((tmp_path / 'run' / 'settings.json').read_text())
    assert settings['settings']['weights_sha256'] == weights_sha256(describer)
    assert settings['versions']['torch']


def test_a_clip_that_cannot_be_answered_costs_no_other(tmp_path, describer, named, wanted):
    name, clip = next((name, clip) for name, clip in named if 'voice' in clip.features)
    at = [other for other, _ in named].index(name)
    wrong = Asked(clip.pieces, {**clip.features, 'voice': torch.zeros(2, 99)})
    broken = [*named[:at], (name, wrong), *named[at + 1 :]]
    answers = list(describe(broken, describer, SHORT, batch_size=6, folder=tmp_path / 'run'))
    assert [answer for answer in answers if answer.name != name] == [each for each in wanted if each.name != name]
    assert answers[at].failure
    assert answers[at].answer.form == 'empty'
    assert list(describe(named, describer, SHORT, folder=tmp_path / 'run', resume=True)) == wanted


def test_a_name_that_comes_twice_is_refused(describer, named):
    with pytest.raises(CorpusError, match='clip 0 twice'):
        list(describe([named[0], named[0]], describer, SHORT))


def test_what_a_clip_does_not_have_is_not_described(describer, clips, monkeypatch):
    only_voice = next(clip for clip in clips if clip.pieces.sources == ('voice',))
    said = [Generated('She smiles. Her voice is low, and she sounds sad.', (1,), 'end')]
    monkeypatch.setattr(type(describer), 'generate', lambda self, batch, limits, seeds: said * len(batch))
    description, other = describe([('a', only_voice), ('b', clips[0])], describer, batch_size=1)
    assert description.answer.text == 'Her voice is low, and she sounds sad.'
    assert description.raw == said[0].text
    assert other.answer.invented == ()  # of its source pose nothing is known


def test_the_record_says_what_answers_depend_on(describer):
    record = reproduction_record(describer, SHORT)
    assert json.loads(json.dumps(record))['limits']['tokens'] == 6
    assert record['word_table'].startswith('affekt (version')
    assert (record['device'], record['precision']) == ('cpu', 'float32')
    assert record['limits']['stops'] == ('<|im_end|>',)
    assert {'peft', 'torch', 'affekt'} <= set(record['versions'])
    weight = describer.reader('voice').project.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight[0, 0] += 1e-6
        assert reproduction_record(describer, SHORT)['weights_sha256'] != record['weights_sha256']
        weight.copy_(kept)
    assert weights_sha256(describer) == record['weights_sha256']
