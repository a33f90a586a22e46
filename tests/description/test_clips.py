"""From media to prompts: features by recipes, words, and what is said where something is missing."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clip_describers import QUESTION, one_face, saved_describer, tone, write_sound

from affekt.corpora import Facts, Manifest, Sample
from affekt.description import (
    Asked,
    Certainty,
    ClipReader,
    Description,
    Generated,
    Limits,
    Pieces,
    clip_form,
    clips_manifest,
    describe,
    described_place,
    kind_of,
    open_clip_describer,
    open_describer,
    opening,
    read_answer,
    saved_notes,
)
from affekt.errors import MediaError, ValueRangeError, WeightsError
from affekt.features import RECIPES, Store, extract


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return saved_describer(tmp_path_factory.mktemp('clips'))


@pytest.fixture(scope='module')
def media(tmp_path_factory):
    place = tmp_path_factory.mktemp('media')
    write_sound(place / 'voice.wav', tone())
    write_sound(place / 'silence.wav', np.zeros(16_000, np.float32))
    (place / 'broken.wav').write_bytes(b'RIFF no sound at all')
    return place


@pytest.fixture(scope='module')
def reader(folder):
    describer = open_describer(folder)
    form = clip_form(describer, saved_notes(folder)['notes'], recipes={'face': one_face()})
    return ClipReader(describer, form)


def _rows(media, *names, **columns):
    return Manifest(Facts('test', root=str(media)), [Sample(name, audio=f'{name}.wav', **columns) for name in names])


def test_features_are_those_that_extraction_gives(reader, media, tmp_path):
    manifest = _rows(media, 'voice', text='I am fine.')
    clip = reader.read(manifest, manifest.samples[0])
    store = Store(extract(manifest, 'acoustics-utt', tmp_path).path)
    np.testing.assert_array_equal(clip.features['voice'], store.values('voice'))
    assert clip.words == 'I am fine.'
    assert clip.lacking == {'face': 'no picture'}
    asked = reader.asked(clip)
    assert asked.pieces.sources == ('voice',)
    assert asked.pieces.has_words


def test_what_is_silent_or_unspoken_is_left_out_with_its_reason(reader, media):
    manifest = _rows(media, 'silence', text='')
    clip = reader.read(manifest, manifest.samples[0])
    assert set(clip.lacking) == {'voice', 'face', 'words'}
    assert clip.lacking['voice'].startswith('no voice to measure')
    assert clip.lacking['words'] == 'an empty transcript'
    with pytest.raises(ValueRangeError, match=r'seen, heard or understood.*no voice to measure'):
        reader.asked(clip)
    with_words = reader.read(manifest, manifest.samples[0], words='So what?')
    assert reader.asked(with_words).pieces.sources == ()
    withheld = _rows(media, 'voice', text='Well.', missing='audio,text')
    clip = reader.read(withheld, withheld.samples[0])
    assert (clip.lacking['voice'], clip.lacking['words'], clip.words) == (*['withheld by the manifest'] * 2, '')


def test_a_transcript_of_20000_words_is_shortened_and_soft_tokens_stay(reader, media):
    manifest = _rows(media, 'voice', text='Yes I said that we will see about it tomorrow. ' * 2000)
    clip = reader.read(manifest, manifest.samples[0])
    asked = reader.asked(clip)
    assert asked.pieces.sources == ('voice',)
    assert asked.pieces.cut > 50_000
    tokens = sum(2 if isinstance(piece, str) else len(piece) for piece in asked.pieces.prompt)
    assert tokens <= reader.describer.settings.longest_prompt


def test_words_that_nobody_spoke_are_not_claimed(reader, media, monkeypatch):
    said = [Generated('She says so. Her voice is low.', (1,), 'end')]
    monkeypatch.setattr(type(reader.describer), 'generate', lambda self, batch, limits, seeds: said * len(batch))
    for text, invented in (('', 1), ('I am here.', 0)):
        manifest = _rows(media, 'voice', text=text)
        asked = reader.asked(reader.read(manifest, manifest.samples[0]))
        (description,) = describe([('voice', asked)], reader.describer, gives=reader.form.gives())
        assert len(description.answer.invented) == invented


def test_words_are_heard_where_no_transcript_is_known(reader, media):
    heard = []

    def hear(path, span):
        heard.append((path.name, span))
        return ' So it was heard. '

    listening = ClipReader(reader.describer, reader.form, hear=hear)
    manifest = clips_manifest([('a/voice.wav', media / 'voice.wav')])
    assert listening.read(manifest, manifest.samples[0]).words == 'So it was heard.'
    window = dataclasses.replace(_rows(media, 'voice').samples[0], start_s=0.25, end_s=0.75)
    cut = Manifest(Facts('test', root=str(media)), [window])
    listening.read(cut, window)
    assert heard == [('voice.wav', None), ('voice.wav', (0.25, 0.75))]
    assert reader.read(manifest, manifest.samples[0]).lacking['words'] == 'no transcript'


def test_words_that_stand_in_no_prompt_are_still_noted_and_their_features_say_what_is_amiss(reader, media):
    form = dataclasses.replace(
        reader.form, recipes={**reader.form.recipes, 'sentence': RECIPES['hash512']},
        kind=kind_of(('voice',), words=False),
    )  # fmt: skip
    manifest = _rows(media, 'voice')
    for heard, words, lacking in (('So what?', 'So what?', None), (' ', '', 'no word was understood')):
        listening = ClipReader(reader.describer, form, hear=lambda path, span, heard=heard: heard)
        clip = listening.read(manifest, manifest.samples[0])
        assert (clip.words, clip.lacking.get('sentence')) == (words, lacking)
        assert 'words' not in clip.lacking
    only_words = dataclasses.replace(clip, features={}, words='So what?')
    with pytest.raises(ValueRangeError, match='no word was understood'):
        listening.asked(only_words)


def test_a_digest_follows_content_words_and_question(reader, media, tmp_path):
    manifest = _rows(media, 'voice', text='a')
    row = manifest.samples[0]
    first = reader.digest(manifest, row)
    assert reader.digest(manifest, row) == first
    assert reader.digest(manifest, dataclasses.replace(row, text='b')) != first
    other = ClipReader(reader.describer, dataclasses.replace(reader.form, question='And now?'))
    assert other.digest(manifest, row) != first
    write_sound(tmp_path / 'voice.wav', 0.5 * tone())
    assert reader.digest(_rows(tmp_path, 'voice', text='a'), row) != first


def test_a_clip_that_cannot_be_read_costs_no_other_its_answer(folder, media):
    clips = open_clip_describer(folder, recipes={'face': 'acoustics-utt'}, asr='none')
    manifest = _rows(media, 'voice', 'broken', 'silence')
    answers = clips.describe(manifest, manifest.samples)
    assert [bool(description.failure) for _, description in answers] == [False, True, True]
    alone = clips.describe(manifest, [manifest.samples[0]])
    assert alone[0][1] == answers[0][1]
    assert clips.record()['question'] == QUESTION
    with pytest.raises(MediaError):
        clips.reader.read(manifest, manifest.samples[1])


def test_a_name_a_run_and_a_folder_lead_to_one_place(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert described_place('small').name == 'describer'
    assert (described_place('small') / 'describer.safetensors').is_file()
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'describer').symlink_to(folder)
    assert described_place('run') == Path('run/describer')
    assert described_place('run/describer') == Path('run/describer')
    (tmp_path / 'small').mkdir()
    assert described_place('small') == Path('small')  # a folder of that name goes first
    with pytest.raises(WeightsError, match=r'describer\.json: No such file'):
        saved_notes('small')


def test_a_folder_that_does_not_fit_is_refused(folder, tmp_path):
    describer, notes = open_describer(folder), saved_notes(folder)['notes']
    with pytest.raises(WeightsError, match="none for 'face'"):
        clip_form(describer, notes)
    with pytest.raises(WeightsError, match='recipe of 21 columns for the source voice'):
        clip_form(describer, notes, recipes={'voice': 'hash512', 'face': one_face()})
    with pytest.raises(WeightsError, match='kind of input'):
        clip_form(describer, {**notes, 'kind': ['pulse']}, recipes={'face': one_face()})
    with pytest.raises(WeightsError, match=r'describer\.json'):
        open_clip_describer(tmp_path)
    with pytest.raises(WeightsError, match='nowhere, which is not there'):
        open_clip_describer('nowhere')
    (tmp_path / 'not.pth').write_bytes(b'no checkpoint')
    with pytest.raises(WeightsError, match='--trunk'):
        open_clip_describer(tmp_path / 'not.pth')
    with pytest.raises(WeightsError):
        open_clip_describer(tmp_path / 'not.pth', trunk=folder)


def test_kinds_are_noted_as_names_rows_or_records(folder):
    describer = open_describer(folder)
    for noted, sources, words in (
        (None, ('voice', 'face'), True),
        (['face', 'voice'], ('face', 'voice'), True),
        ({'blocks': [{'source': 'voice', 'lead': ''}], 'words': False, 'opened': True}, ('voice',), False),
        ('audioonly', ('voice',), False),
    ):
        form = clip_form(
            describer, {'kind': noted, 'recipes': {'voice': 'acoustics-utt'}}, recipes={'face': one_face()}
        )
        assert (form.kind.sources, form.kind.words) == (sources, words)


def test_sources_of_other_names_are_known_by_what_their_recipes_read(reader):
    assert reader.form.gives() == {'voice': ('voice',), 'face': ('face',)}
    renamed = dataclasses.replace(reader.form, recipes={'pulse': reader.form.recipes['voice']})
    assert renamed.gives() == {'pulse': ('voice',)}
    assert torch.is_tensor(next(reader.describer.parameters()))


def test_labels_are_generated_and_clues_stated_where_training_noted_terciles(folder, media, tmp_path, monkeypatch):
    terciles = {'pitch': [100.0, 120.0], 'loudness': [-8.0, -6.0]}
    noted = saved_describer(tmp_path, terciles=terciles)
    clips = open_clip_describer(noted, recipes={'face': 'acoustics-utt'}, asr='none')
    said = {'voice': Description('voice', read_answer('angry'), ' angry', 'end')}
    monkeypatch.setattr(opening, 'describe', lambda asked, *rest, **named: [said[name] for name, _ in asked])
    manifest = _rows(media, 'voice')
    ((_, described),) = clips.describe(manifest, manifest.samples)
    # the tone lies at about 170 Hz, and more thirds below -8 LUFS than above 120 Hz
    assert described.answer.text == 'The person seems angry. The voice is low in volume and high in pitch.'
    assert (described.answer.labels, described.raw) == (('angry',), ' angry')
    assert [clue.of for clue in described.answer.evidence] == [('voice',)]
    assert described.certainty is None
    plain = open_clip_describer(folder, recipes={'face': 'acoustics-utt'}, asr='none')
    assert plain.describe(manifest, manifest.samples)[0][1].answer.text == 'angry'


def test_the_first_label_has_the_certainty_that_was_fitted_for_what_stands_first(folder, media, tmp_path, monkeypatch):
    describer = SimpleNamespace(
        beginning_logits=lambda asked, beginnings: torch.tensor([[2 * math.log(3), 0.0]] * len(asked))
    )
    asked = [Asked(Pieces((source, (1,)))) for source in ('voice', 'face', 'voice', 'voice', 'voice')]
    labels = [('angry', 'sad'), ('angry',), ('sad',), ('proud',), ()]
    # e^(2 ln 3 / 2) : 1 is 3 : 1; of faces nothing was fitted, and proud is no known word
    sure = Certainty(('angry', 'sad'), {'voice': 2.0}).of(describer, asked, labels)
    assert sure == [pytest.approx(0.75), None, pytest.approx(0.25), None, None]

    noted = saved_describer(
        tmp_path, labels=['angry'], certainty={'voice': 2.0}, questions={'labels': QUESTION, 'sentiment': 'Sentiment'}
    )
    said = {'voice': Description('voice', read_answer('angry'), ' angry', 'end')}
    monkeypatch.setattr(opening, 'describe', lambda asked, *rest, **named: [said[name] for name, _ in asked])
    manifest = _rows(media, 'voice')
    questions = {'': QUESTION, QUESTION: QUESTION, 'labels': QUESTION, 'sentiment': 'Sentiment', 'Why?': 'Why?'}
    for question, text in questions.items():
        clips = open_clip_describer(noted, recipes={'face': 'acoustics-utt'}, asr='none', question=question)
        assert clips.record()['question'] == text
        certainty = 1.0 if text == QUESTION else None  # one known word has all of the softmax
        assert clips.describe(manifest, manifest.samples)[0][1].certainty == certainty


def test_a_kind_keeps_that_it_is_bare(reader):
    record = {'blocks': [{'source': 'voice', 'lead': ''}], 'words': False, 'opened': True, 'bare': True}
    notes = {'kind': record, 'recipes': {'voice': 'acoustics-utt'}}
    assert clip_form(reader.describer, notes).kind == kind_of(('voice',), words=False, bare=True)


def test_a_published_checkpoint_describes_clips_on_its_language_model(shared_data, media, tmp_path, same_process):
    from published_arrays import parameter, tiny_language_model
    from published_files import published_shapes, save_published

    shapes = published_shapes(shared_data, 'affectgpt_tiny_qwen2_attention')
    state = {name: parameter(name, shape) for name, shape in shapes.items() if not name.endswith('position_ids')}
    path = save_published(tmp_path / 'checkpoint_000030_loss_0.5.pth', state, config={'model': {}})
    trunk = tiny_language_model('qwen2_attention')
    trunk.network.save_pretrained(tmp_path / 'trunk')
    trunk.vocabulary.tokenizer.save(str(tmp_path / 'trunk' / 'tokenizer.json'))
    widths = {
        'voice': shapes['audio_attention_mlp.weight'][1],
        'face': shapes['video_attention_mlp.weight'][1],
    }
    recipes = {name: one_face(width, name) for name, width in widths.items()}
    clips = open_clip_describer(path, trunk=tmp_path / 'trunk', recipes=recipes, asr='none', limits=Limits(tokens=4))
    assert clips.reader.form.kind.sources == ('multi', 'voice', 'face')
    manifest = clips_manifest([('a.mp4', media / 'voice.wav')], {'a.mp4': 'I am fine.'})
    manifest = Manifest(manifest.facts, [dataclasses.replace(manifest.samples[0], video=str(media / 'voice.wav'))])
    ((clip, description),) = clips.describe(manifest, manifest.samples)
    assert description.failure == ''
    assert set(clip.features) == {'voice', 'face'}
    with pytest.raises(WeightsError, match='columns for the source face'):
        open_clip_describer(path, trunk=tmp_path / 'trunk', recipes={**recipes, 'face': one_face(7, 'face')})
