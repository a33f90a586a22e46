"""A manifest and a checkpoint in, a tuned folder out: parts by speaker, scores, card, and what is refused."""

from __future__ import annotations

import json
import wave
from dataclasses import replace

import numpy as np
import pytest

from affekt.benchmarks import pretrained as candidate_of
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import AffektError, CorpusError, UnknownNameError, ValueRangeError, WeightsError
from affekt.experiments import divided_clips, finetune_clips

torch = pytest.importorskip('torch')
EMOTIONS = ('sad', 'calm', 'glad')


def sample(at: int, **changes) -> Sample:
    row = Sample(f's{at}', audio=f's{at}.wav', category=EMOTIONS[at % 3], speaker=f'p{at // 3 % 4}', valence=at % 3 + 1)
    return replace(row, **changes)


def manifest_of(rows, root='') -> Manifest:
    return Manifest(Facts('toy', categories=EMOTIONS, root=str(root)), rows)


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    """24 tones of four speakers; their pitch is the emotion."""
    root = tmp_path_factory.mktemp('tones')
    rng = np.random.default_rng(0)
    for at in range(24):
        pitch_hz = 200 * 4 ** (at % 3) * rng.uniform(0.9, 1.1)
        tone = 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(12_000) / 16_000) + rng.normal(0, 0.01, 12_000)
        with wave.open(str(root / f's{at}.wav'), 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes((tone * 32767).astype('<i2').tobytes())
    return manifest_of([sample(at) for at in range(24)], root)


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """A tiny pre-trained network of sound, as a run saves it."""
    from affekt.nn import save_tensors
    from affekt.pretraining import HicmaeForm, HicmaePretraining
    from affekt.pretraining.masked_training import form_notes

    form = HicmaeForm(32, 2, 16, 2, depth=2, decoder_depth=2, frames=4, size=32, steps=64, modalities=('audio',))
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('run')
    notes = {'notes': json.dumps(form_notes(form))}
    save_tensors(folder / 'weights.safetensors', HicmaePretraining(form).state_dict(), notes)
    return folder


def settings(**changes):
    from affekt.pretraining import TuningSettings

    quick = {'epochs': 2, 'batch_size': 6, 'warm_up': 1, 'mixing': None, 'augments': False}
    return TuningSettings(**{**quick, 'method': 'linear', **changes})


@pytest.fixture
def cut(pretrained, tmp_path):
    """The same network without its last block."""
    from affekt.checkpoints import opened
    from affekt.nn import save_tensors

    whole = opened(pretrained / 'weights.safetensors')
    state = {name: value for name, value in whole.state().items() if not name.startswith('encoder_audio.blocks.1.mlp')}
    save_tensors(tmp_path / 'cut.safetensors', state, {'notes': json.dumps(dict(whole.notes))})
    return tmp_path / 'cut.safetensors'


def test_whole_speakers_validate():
    manifest = manifest_of([sample(at) for at in range(24)])
    parts = divided_clips(manifest, 'emotion', validation='0.25')
    speakers = manifest.column('speaker')
    learnt, held_out = ({speakers[at] for at in parts.parts[name]} for name in ('train', 'validation'))
    assert len(held_out) == 1
    assert not learnt & held_out
    assert len(parts.parts['train']) + len(parts.parts['validation']) == 24
    assert parts.classes == EMOTIONS
    assert 'test' not in parts.parts
    assert parts.notes == ()


def test_splits_of_the_manifest_are_taken_where_nothing_else_is_said():
    rows = [sample(at, split=('train', 'val', 'test1')[min(at // 12 + at // 18, 2)], speaker=None) for at in range(24)]
    parts = divided_clips(manifest_of(rows), 'label')
    assert {name: len(index) for name, index in parts.parts.items()} == {'train': 12, 'validation': 6, 'test': 6}
    assert parts.stated == {'validation': 'split=val', 'test': 'split=test1'}
    other = divided_clips(manifest_of(rows), 'valence', validation='split=train', test='split=val')
    assert len(other.parts['train']) == 6
    assert other.truth(other.parts['train']).shape == (6, 1)


def test_a_speaker_in_two_parts_is_told():
    rows = [sample(at, fold=1 + at % 2) for at in range(24)]
    assert (
        '4 speakers in more than one part' in divided_clips(manifest_of(rows), 'emotion', validation='fold=2').notes[0]
    )


def test_clips_that_are_left_out_share_no_speaker():
    # of p0, p1, p2 and p3 in both parts, p0 loses its training clips, p1 all
    rows = [sample(at, fold=1 + at % 2) for at in range(24)]
    parts = divided_clips(manifest_of(rows), 'emotion', validation='fold=2')
    is_kept = np.array([row.speaker != 'p1' and (row.speaker, row.fold) != ('p0', 1) for row in rows])
    kept = parts.take(is_kept)
    assert {name: len(index) for name, index in kept.parts.items()} == {'train': 6, 'validation': 8}
    assert kept.notes == tuple(note.replace('4 speakers', '2 speakers') for note in parts.notes)


STRANGE = [sample(at, fold=1 + (at % 3 == 0)) for at in range(6)]


@pytest.mark.parametrize(
    ('rows', 'options', 'error', 'words'),
    [
        ([sample(0, category=None)], {}, CorpusError, 'got none among the 1 of .* choose --label among .* valence'),
        ([sample(at) for at in range(6)], {'label': 'joy'}, UnknownNameError, 'emotion, or some of valence'),
        ([sample(at) for at in range(6)], {'label': 'arousal'}, CorpusError, 'with arousal; got none among the 6'),
        ([sample(at) for at in range(6)], {'validation': 'split=val'}, UnknownNameError, 'values of the column split'),
        ([sample(at) for at in range(6)], {'validation': 'colour=red'}, UnknownNameError, 'colour'),
        ([sample(at) for at in range(6)], {'validation': 'much'}, ValueRangeError, 'a share above 0'),
        ([sample(at) for at in range(6)], {'validation': '0.9'}, ValueRangeError, 'up to 0.5'),
        ([sample(at, speaker='p0') for at in range(6)], {}, CorpusError, 'several speakers'),
        ([sample(3 * at) for at in range(6)], {}, CorpusError, "two classes at least; got 'sad' alone"),
        (
            [sample(at, arousal=2.5) for at in range(12)], {'label': 'valence,arousal'}, CorpusError,
            "differ among the training clips; got one value of 'arousal' for all",
        ),
        (STRANGE, {'validation': 'fold=2'}, CorpusError, "none of 'sad'"),
        ([sample(at, fold=1) for at in range(6)], {'validation': 'fold=1'}, CorpusError, "none in 'train'"),
    ],
)  # fmt: skip
def test_parts_that_cannot_be_made_are_refused(rows, options, error, words):
    with pytest.raises(error, match=words):
        divided_clips(manifest_of(rows), options.pop('label', 'emotion'), **options)


def test_a_manifest_becomes_a_model_with_scores_and_a_card(corpus, pretrained, tmp_path):
    from affekt.pretraining import predict

    folder, said = tmp_path / 'tuned', []
    rows = [replace(row, category=None) if at == 23 else row for at, row in enumerate(corpus.samples)]
    rows.append(sample(30, speaker='p0'))  # whose sound is not there
    manifest = manifest_of(rows, corpus.facts.root)
    outcome = finetune_clips(
        pretrained, manifest, settings(), folder=folder, validation='speaker=p3', test='speaker=p2', say=said.append
    )
    values = {(row.part, row.title): row.interval.value for row in outcome.rows}
    assert values['validation', 'UAR'] > 0.6
    assert values['test', 'UAR'] > 0.6
    baseline = {row.title: row.baseline for row in outcome.rows if row.part == 'test'}
    assert baseline['UAR'] == pytest.approx(1 / 3)
    answers = predict(folder, f'{corpus.facts.root}/s2.wav')
    assert max(answers, key=answers.get) == 'glad'
    card = (folder / 'card.md').read_text()
    # s23 has no category and s30 no audio: neither is learnt from or scored
    sizes = {'train': 12, 'validation': 5, 'test': 6}
    assert {name: len(index) for name, index in outcome.parts.parts.items()} == sizes
    assert json.loads((folder / 'scores.json').read_text())['parts'] == sizes
    for words in (
        '| train | 12 | 2 | the rest |', '| validation | 5 | 1 | speaker=p3 |', '| test | 6 | 1 | speaker=p2 |',
        'linear probe', '1 of 25 clips have no category', 's30', 'toy',
    ):  # fmt: skip
        assert words in card, words
    assert json.loads((folder / 'labels.json').read_text()) == list(EMOTIONS)
    assert (folder / 'predictions.csv').read_text().splitlines()[
        0
    ] == 'sample,part,true category,predicted,sad,calm,glad'
    assert len((folder / 'predictions.csv').read_text().splitlines()) == 1 + 6 + 5
    assert (folder / 'history.html').exists()
    assert any('clips in' in line for line in said)
    assert any('tensors taken' in line for line in said)

    # a finished run is read back; other settings are refused
    again = finetune_clips(
        pretrained, manifest, settings(), folder=folder, validation='speaker=p3', test='speaker=p2', resume=True
    )
    assert repr(again.rows) == repr(outcome.rows)  # intervals of one group are nan
    with pytest.raises(AffektError, match='stated'):
        finetune_clips(pretrained, manifest, settings(), folder=folder, validation='speaker=p2', resume=True)


def test_a_tuned_folder_is_tuned_on_from_and_numbers_are_learnt(corpus, pretrained, tmp_path):
    first = finetune_clips(
        pretrained, corpus, settings(method='full'), folder=tmp_path / 'first', validation='speaker=p3'
    )
    assert not list((tmp_path / 'first/training').glob('*.safetensors'))
    assert [row['epoch'] for row in first.history] == [1, 2]
    numbers = finetune_clips(
        tmp_path / 'first', corpus, settings(), folder=tmp_path / 'second', label='valence', validation='speaker=p3',
        cache=tmp_path / 'first/clips',
    )  # fmt: skip
    assert {row.title for row in numbers.rows} == {'valence CCC', 'valence PCC', 'valence MAE'}
    assert numbers.model.names == ('valence',)


def test_a_run_killed_after_training_goes_on(corpus, pretrained, tmp_path, monkeypatch):
    from affekt.pretraining import TunedModel

    def kill(self, folder):
        raise KeyboardInterrupt

    options = {'folder': tmp_path / 'tuned', 'validation': 'speaker=p3'}
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TunedModel, 'save', kill)
        finetune_clips(pretrained, corpus, settings(method='full'), **options)
    stages = []
    outcome = finetune_clips(
        pretrained, corpus, settings(method='full'), **options, resume=True,
        progress=lambda stage, done, total: stages.append(stage),
    )  # fmt: skip
    assert 'train' not in stages
    assert len(outcome.history) == 2


def test_what_cannot_be_tuned_from_is_refused(corpus, pretrained, tmp_path):
    (tmp_path / 'words.pth').write_text('<html>')
    with pytest.raises(WeightsError):
        finetune_clips(tmp_path / 'words.pth', corpus, settings(), folder=tmp_path / 'out')
    with pytest.raises(AffektError, match='modalities that the checkpoint reads'):
        finetune_clips(pretrained, corpus, settings(), folder=tmp_path / 'out', modalities=('video',))
    silent = manifest_of([replace(row, audio='absent.wav') for row in corpus.samples], corpus.facts.root)
    with pytest.raises(CorpusError, match='that can be used'):
        finetune_clips(pretrained, silent, settings(), folder=tmp_path / 'other')
    nothing = manifest_of([replace(row, audio=None) for row in corpus.samples], corpus.facts.root)
    with pytest.raises(CorpusError, match='clips with audio'):
        finetune_clips(pretrained, nothing, settings(), folder=tmp_path / 'third')
    rows = [replace(row, audio='absent.wav') if row.category == 'glad' else row for row in corpus.samples]
    with pytest.raises(CorpusError, match=r"got none of 'glad' \(16 of 24 clips, .* no clip for 8"):
        finetune_clips(
            pretrained, manifest_of(rows, corpus.facts.root), settings(), folder=tmp_path / 'fourth',
            validation='speaker=p3',
        )  # fmt: skip


def test_an_incomplete_checkpoint_is_refused_before_clips_are_decoded(corpus, cut, tmp_path):
    with pytest.raises(WeightsError, match=r'4 missing .*blocks\.1\.mlp.* get the file again'):
        finetune_clips(cut, corpus, settings(), folder=tmp_path / 'tuned')
    with pytest.raises(WeightsError, match=r'4 missing'):
        candidate_of(cut)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['cut.safetensors']
