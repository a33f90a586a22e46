"""A describer learns from a manifest and stores, stage after stage, and the verb that says so."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError, UnknownNameError, ValueRangeError
from affekt.experiments import DescriberForm, named_stores, split_clips
from affekt.experiments.describer_forms import kind_of_input
from affekt.features import Store, extract

FELT = {'happy': 'What a wonderful day', 'sad': 'I miss her so much', 'angry': 'Leave me alone now'}


def _rows(count=24, speakers=6):
    moods = list(FELT)
    return [
        Sample(
            f'clip{at}', text=f'{FELT[moods[at % 3]]} {at}.', category=moods[at % 3], speaker=f's{at // 3 % speakers}'
        )
        for at in range(count)
    ]


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp('corpus')
    manifest = Manifest(Facts('toy', categories=tuple(FELT)), _rows())
    manifest.save(folder / 'm.parquet')
    extract(manifest, 'hash512', folder)
    return folder


@pytest.fixture(scope='module')
def trunk(tmp_path_factory):
    from clip_describers import saved_trunk

    return saved_trunk(tmp_path_factory.mktemp('trunk'))


def _train(corpus, trunk, out, *words):
    fixed = ('--trunk', trunk, '--steps', 2, '--batch-size', 4)
    new = () if {'--init', '--form'} & {*words} else ('--rank', 2)
    answers = () if 'prefer' in words else ('--answer-tokens', 8)
    command = ('describe', 'train', '--manifest', corpus / 'm.parquet', '--features', corpus / 'hash512', '--out', out)
    return CliRunner().invoke(main, [str(word) for word in (*command, *fixed, *new, *answers, *words)])


@pytest.fixture(scope='module')
def coarse(corpus, trunk, tmp_path_factory):
    out = tmp_path_factory.mktemp('runs') / 'coarse'
    return out, _train(corpus, trunk, out, '--stage', 'coarse', '--sorted-batches', 1)


def test_speakers_stand_on_one_side_and_tests_are_left_alone():
    manifest = Manifest(Facts('toy', categories=tuple(FELT)), _rows())
    learnt, choosing, how, notes = split_clips(manifest)
    speakers = manifest.column('speaker')
    assert set(speakers[learnt]).isdisjoint(speakers[choosing])
    assert (how, notes) == ('0.15', ())
    learnt, choosing, how, _ = split_clips(manifest, 'speaker=s0,s1')
    assert (set(speakers[choosing]), how) == ({'s0', 's1'}, 'speaker=s0,s1')
    parts = manifest.replaced(split=['test'] * 3 + ['val'] * 3 + ['train'] * 18)
    learnt, choosing, how, notes = split_clips(parts)
    assert (len(learnt), len(choosing), how) == (18, 3, 'split=val')
    assert '3 clips of split=test' in notes[0]
    with pytest.raises(UnknownNameError, match='s9'):
        split_clips(manifest, 'speaker=s9')
    with pytest.raises(CorpusError, match='several speakers'):
        split_clips(manifest.replaced(speaker=['one'] * 24))


def test_stores_are_called_by_what_they_are_made_of(corpus):
    assert list(named_stores([str(corpus / 'hash512')])) == ['sentence']
    both = [str(corpus / 'hash512'), str(corpus / 'hash512'), f'own={corpus / "hash512"}']
    assert list(named_stores(both)) == ['sentence', 'hash512', 'own']
    with pytest.raises(UnknownNameError, match='own twice'):
        named_stores([both[2], both[2]])
    with pytest.raises(UnknownNameError, match='--features'):
        named_stores([])


def test_a_coarse_stage_says_what_it_kept_and_the_folder_describes_clips(coarse, corpus):
    out, result = coarse
    assert result.exit_code == 0, result.output
    assert '15 % of' not in result.stdout
    assert '(0.15)' in result.stdout
    assert 'kept step 2: recall of labels' in result.stdout
    assert f'affekt describe clip.mp4 --model {out / "describer"}' in result.stdout
    notes = json.loads((out / 'describer' / 'describer.json').read_text())['notes']
    assert notes['recipes'] == {'sentence': 'hash512'}
    assert (notes['stage'], notes['answers'], notes['corpus']) == ('coarse', 'by template', 'toy')
    assert notes['training']['sorted_batches'] == 1
    described = CliRunner().invoke(
        main, ['describe', str(corpus / 'm.parquet'), '--model', str(out), '--json', '--limit', '3']
    )
    answer = json.loads(described.stdout)
    assert [clip['name'] for clip in answer['clips']] == ['clip0', 'clip1', 'clip2']
    assert answer['failed'] == 0
    assert answer['clips'][0]['words'].startswith('What a wonderful day')


def test_a_fine_stage_goes_on_and_resumes_and_one_without_a_describer_is_refused(coarse, corpus, trunk, tmp_path):
    out, _ = coarse
    fine = _train(corpus, trunk, tmp_path / 'fine', '--stage', 'fine', '--init', out)
    assert fine.exit_code == 0, fine.output
    again = _train(corpus, trunk, tmp_path / 'fine', '--stage', 'fine', '--init', out, '--resume', '--json')
    assert json.loads(again.stdout)['step'] == 2
    alone = _train(corpus, trunk, tmp_path / 'alone', '--stage', 'fine')
    assert alone.exit_code == 2
    assert '--init' in ' '.join(alone.stderr.split())
    other = _train(
        corpus, trunk, tmp_path / 'other', '--stage', 'fine', '--init', out, '--features', f'voice={corpus}/hash512'
    )
    assert other.exit_code == 2
    assert "'voice'" in ' '.join(other.stderr.split())


def test_a_describer_of_the_form_of_2023_is_learnt_in_two_stages_and_describes(corpus, trunk, tmp_path):
    stores = [word for name in ('voice', 'face') for word in ('--features', f'{name}={corpus / "hash512"}')]
    command = ('describe', 'train', '--manifest', corpus / 'm.parquet', *stores, '--steps', 1, '--answer-tokens', 2)
    new = ('--form', 'affectgpt-2023', '--trunk', trunk)
    for stage, more in (('coarse', new), ('fine', ('--init', tmp_path / 'coarse'))):
        out = tmp_path / stage
        result = CliRunner().invoke(main, [str(word) for word in (*command, '--stage', stage, *more, '--out', out)])
        assert result.exit_code == 0, result.output
    saved = json.loads((tmp_path / 'fine' / 'describer' / 'describer.json').read_text())
    rows = {source['name']: source for source in saved['sources']}
    assert {name: (row['fusion'], row['tokens'], row['width']) for name, row in rows.items()} == {
        'voice': ('qformer', 8, 512), 'face': ('qformer', 32, 512),
    }  # fmt: skip
    assert (rows['face']['queries']['width'], rows['face']['queries']['positions']) == (768, 32)
    assert (saved['adapters'], saved['settings']['family']) == (None, 'vicuna-hash')
    assert saved['notes']['kind']['blocks'][1] == {'source': 'face', 'lead': 'Meanwhile, w'}  # the published prompt
    described = CliRunner().invoke(
        main,
        ['describe', f'{corpus}/m.parquet', '--model', f'{tmp_path}/fine', '--json', '--limit', '2', '--tokens', '2'],
    )
    assert json.loads(described.stdout)['failed'] == 0
    refused = CliRunner().invoke(main, [str(word) for word in (*command, *new, '--rank', 2, '--out', tmp_path / 'no')])
    assert (refused.exit_code, 'a form of your own' in ' '.join(refused.stderr.split())) == (2, True)


def test_a_published_form_takes_the_widths_of_its_stores_and_joins_those_that_are_there(corpus, trunk):
    stores = {name: Store(corpus / 'hash512') for name in ('voice', 'face')}
    describer = DescriberForm(published='affectgpt-2025').built(str(trunk), stores, device='cpu', seed=0)
    assert {name: (row.joins, row.width) for name, row in describer.table.items()} == {
        'voice': ((), 512), 'face': ((), 512), 'multi': (('face', 'voice'), 512),
    }  # fmt: skip
    assert (describer.adapters.rank, describer.adapters.alpha) == (16, 32)
    assert kind_of_input(describer, stores, words=True).sources == ('multi', 'voice', 'face')
    stores |= {'frame': stores['face']}  # two sources join these three, and no published prompt has both
    describer = DescriberForm(published='affectgpt-2025').built(str(trunk), stores, device='cpu', seed=0)
    assert kind_of_input(describer, stores, words=True).sources == ('multi', 'voice', 'face', 'frame')
    frames = DescriberForm(published='affectgpt-2023').built(
        str(trunk), {'frame': stores['face']}, device='cpu', seed=0
    )
    assert frames.table['frame'].shares == ''
    with pytest.raises(UnknownNameError, match="got 'sentence'"):
        DescriberForm(published='affectgpt-2023').built(str(trunk), {'sentence': stores['face']}, device='cpu', seed=0)
    with pytest.raises(UnknownNameError, match="did you mean 'affectgpt-2025'"):
        DescriberForm(published='affectgpt2025').built(str(trunk), stores, device='cpu', seed=0)


def test_written_descriptions_are_learnt_where_a_table_has_them(corpus, trunk, tmp_path):
    lines = ['name,description', *(f'clip{at},The speaker seems {list(FELT)[at % 3]} and tired.' for at in range(20))]
    (tmp_path / 'own.csv').write_text('\n'.join(lines))
    result = _train(
        corpus, trunk, tmp_path / 'run', '--descriptions', tmp_path / 'own.csv', '--validation', 'speaker=s0,s1'
    )
    assert result.exit_code == 0, result.output
    assert 'left out: 4 clips (not annotated)' in result.stdout
    notes = json.loads((tmp_path / 'run' / 'describer' / 'describer.json').read_text())['notes']
    assert notes['answers'] == 'written'


def test_pairs_and_rewards_go_on_with_a_describer(coarse, corpus, trunk, tmp_path):
    out, _ = coarse
    rows = [f'clip{at},The person seems {list(FELT)[at % 3]}.,Nothing can be said of it.,a1' for at in range(24)]
    rows += ['elsewhere,The person seems sad.,Nothing.,a1', 'elsewhere,The person seems calm.,Nothing.,a2']
    (tmp_path / 'pairs.csv').write_text('\n'.join(['name,a1,a2,preference', *rows]))
    preferred = _train(
        corpus, trunk, tmp_path / 'prefer', '--stage', 'prefer', '--init', out, '--preference', tmp_path / 'pairs.csv'
    )  # fmt: skip
    assert preferred.exit_code == 0, preferred.output
    assert 'pairs right' in preferred.stdout
    assert 'left out: 1 clip (not in the manifest)' in preferred.stdout
    rewarded = _train(
        corpus, trunk, tmp_path / 'reward', '--stage', 'reward', '--init', out, '--draws', 2, '--gain-of', 'words'
    )  # fmt: skip
    assert rewarded.exit_code == 0, rewarded.output
    assert 'kept step 2: reward' in rewarded.stdout
    for words in (('--stage', 'prefer', '--init', out), ('--preference', tmp_path / 'pairs.csv')):
        refused = _train(corpus, trunk, tmp_path / 'refused', *words)
        assert refused.exit_code == 2
        assert '--preference' in ' '.join(refused.stderr.split())


def test_what_cannot_be_learnt_is_said(corpus, trunk, tmp_path):
    bare = Manifest(Facts('bare'), [Sample(f'c{at}', text='Hm.', speaker=f's{at}') for at in range(8)])
    bare.save(tmp_path / 'm.parquet')
    extract(bare, 'hash512', tmp_path)
    result = _train(tmp_path, trunk, tmp_path / 'run')
    assert result.exit_code == 2
    assert '--descriptions' in ' '.join(result.stderr.split())
    wrong = _train(corpus, trunk, tmp_path / 'run', '--sources', 'face')
    assert "'face'" in wrong.stderr
    with pytest.raises(ValueRangeError):
        split_clips(bare, '0.9')
