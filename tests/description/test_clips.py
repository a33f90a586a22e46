"""From media to prompts: features by recipes, words, and what is said where something is missing."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clip_describers import QUESTION, one_face, one_text, saved_describer, saved_trunk, tone, write_sound

from affekt.corpora import Facts, Manifest, Sample
from affekt.description import (
    Adapters,
    Asked,
    Certainty,
    ClipReader,
    Describer,
    Description,
    Generated,
    LikelyLabels,
    Limits,
    Pieces,
    Source,
    SourceReader,
    clip_form,
    clips_manifest,
    describe,
    described_place,
    kind_of,
    open_clip_describer,
    open_describer,
    open_trunk,
    opening,
    read_answer,
    save_describer,
    saved_notes,
    with_adapters,
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


def test_the_part_of_a_long_transcript_that_features_of_sentences_read_is_said(reader, media):
    # of 254 pieces three are a question of nine characters: 84 of these, and seven characters of the next
    form = dataclasses.replace(
        reader.form, recipes={'sentence': one_text()}, kind=kind_of(('voice',), words=False)
    )  # fmt: skip
    listening = ClipReader(reader.describer, form)
    for text, lacking in (
        ('So what?', {}),
        ('So what? ' * 2000, {'sentence': 'only the first 763 of 17,999 characters'}),
    ):
        manifest = _rows(media, 'voice', text=text)
        clip = listening.read(manifest, manifest.samples[0])
        assert {name: reason.removesuffix(' are read') for name, reason in clip.lacking.items()} == lacking


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
    assert described_place('small').name == 'describer'  # a folder of that name hides nothing
    assert described_place('./small') == described_place(Path('small')) == Path('small')
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
    with pytest.raises(WeightsError, match='nowhere, which does not exist'):
        open_clip_describer('nowhere')
    (tmp_path / 'not.pth').write_bytes(b'no checkpoint')
    for trunk in (None, folder):
        with pytest.raises(WeightsError, match='damaged or foreign'):
            open_clip_describer(tmp_path / 'not.pth', trunk=trunk)


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
        record = clips.record()
        assert record['question'] == text
        assert record.get('certainty', {}).get('temperatures') == ({'voice': 2.0} if text == QUESTION else None)
        certainty = 1.0 if text == QUESTION else None  # one known word has all of the softmax
        ((clip, described),) = clips.describe(manifest, manifest.samples)
        assert described.certainty == certainty
        assert ('question' in clip.lacking) == (question == 'Why?')  # it was trained to answer two others


def test_a_clip_that_is_unlike_those_of_training_has_no_certainty_and_the_reason(folder, media, tmp_path, monkeypatch):
    noted = saved_describer(tmp_path, labels=['angry'], certainty={'voice': 2.0}, certain_within={'voice': 1.5})
    said = {'voice': Description('voice', read_answer('angry'), ' angry', 'end')}
    monkeypatch.setattr(opening, 'describe', lambda asked, *rest, **named: [said[name] for name, _ in asked])
    clips = open_clip_describer(noted, recipes={'face': 'acoustics-utt'}, asr='none')
    manifest = _rows(media, 'voice')
    for distance, certainty in ((1.5, 1.0), (1.6, None), (math.nan, None)):
        monkeypatch.setattr(SourceReader, 'distance', lambda self, features, distance=distance: distance)
        ((clip, described),) = clips.describe(manifest, manifest.samples)
        assert described.certainty == certainty
        assert clip.lacking.get('certainty') == (
            None if certainty else 'the voice is unlike those of the training clips'
        )


def test_a_label_of_a_source_without_a_temperature_has_no_certainty_and_the_reason():
    certainty = Certainty(('angry',), {'voice': 2.0})
    for sources, why in (
        ({'voice': 1}, ''),
        ({'face': 1, 'voice': 1}, 'face'),
        ({'sentence': 1}, 'words'),
        ({}, 'words'),
    ):
        prompt = SimpleNamespace(pieces=SimpleNamespace(sources=sources))
        assert certainty.why_unknown(None, prompt) == (why and f'not calibrated for labels of the {why}')


def test_labels_are_those_that_answers_probably_hold_where_the_folder_says_so(tmp_path):
    # 0.6 of the answers begin with angry and 0.3 with sad; behind angry, sad comes in 1 of 4 and the end in 3 of 4, so
    # that sad is named by 0.3 + 0.6 / 4 = 0.45; behind sad the end always comes
    behind = {' angry,': [0.0, 0.25, 0.0, 0.75], ' sad,': [0.0, 0.0, 0.0, 1.0]}

    def beginning_logits(asked, beginnings, after=None):
        assert beginnings[:3] == [' angry', ' sad', ' calm']
        rows = [[0.6, 0.3, 0.1]] * len(asked) if after is None else [behind[each] for each in after]
        return torch.tensor(rows).log()

    describer = SimpleNamespace(beginning_logits=beginning_logits)
    asked = [Asked(Pieces(('sentence', (1,)))), Asked(Pieces(('voice', 'sentence', (1,))))]
    for least, width, labels in (
        (0.4, 1, ('angry', 'sad')), (0.5, 1, ('angry',)), (0.09, 2, ('angry', 'sad', 'calm')), (0.9, 2, ('angry',)),
    ):  # fmt: skip
        likely = LikelyLabels(('angry', 'sad', 'calm'), {'sentence': least}, width)
        assert [likely.covers(each) for each in asked] == [True, False]
        assert likely.of(describer, asked[:1]) == [labels]
    first, named = likely.shares(describer, asked[:1])
    assert named.tolist()[0] == pytest.approx([0.6, 0.45, 0.1])
    assert first.tolist()[0] == pytest.approx([0.6, 0.3, 0.1])


def test_a_describer_with_shares_lists_labels_for_words_alone_and_writes_for_the_rest(media, tmp_path, monkeypatch):
    trunk = saved_trunk(tmp_path)
    sources = (Source('voice', 21, tokens=2, scaled=True), Source('sentence', 512, fusion='mean'))
    describer = Describer(with_adapters(open_trunk(trunk), Adapters(rank=2)), sources, seed=1)
    kind = {'blocks': [{'source': name, 'lead': ''} for name in ('voice', 'sentence')], 'words': False}
    notes = {
        'recipes': {'voice': 'acoustics-utt', 'sentence': 'hash512'}, 'question': QUESTION, 'kind': kind,
        'labels': ['angry', 'sad'], 'likely_labels': {'sentence': 0.0}, 'training': {'answer_tokens': 4},
    }  # fmt: skip
    save_describer(describer.eval(), tmp_path / 'describer', notes=notes)

    def alike(self, asked, beginnings, after=None):
        return torch.zeros(len(asked), len(beginnings))

    monkeypatch.setattr(Describer, 'beginning_logits', alike)  # the tokens of the tiny trunk are letters
    clips = open_clip_describer(tmp_path / 'describer', asr='none')
    manifest = Manifest(
        Facts('test', root=str(media)),
        [Sample('a', text='So what?'), Sample('voice', audio='voice.wav', text='So what?'), Sample('b', text='Well.')],
    )
    answers = [description for _, description in clips.describe(manifest, manifest.samples)]
    assert [answer.name for answer in answers] == ['a', 'voice', 'b']
    assert [each.answer.labels for each in answers[::2]] == [('angry', 'sad')] * 2
    assert (answers[0].answer.form, answers[0].raw, answers[0].finish) == ('list', 'angry, sad,', 'end')
    assert answers[1].raw != answers[0].raw
    assert clips.record()['likely_labels']['least'] == {'sentence': 0.0}

    def alike_but_of_two(self, asked, beginnings, after=None):
        if len(asked) > 1 or asked[0].features['sentence'] is not short:
            raise ValueRangeError(expected='a short prompt', came='a long one', todo='shorten it')
        return alike(self, asked, beginnings)

    # what fails of a prompt, alone or beside others, costs no other its answer
    monkeypatch.setattr(Describer, 'beginning_logits', alike_but_of_two)
    prompts = [clips.reader.asked(clips.reader.read(manifest, manifest.samples[at])) for at in (0, 2)]
    short = prompts[1].features['sentence']
    failed, answered = clips._answers([('a', prompts[0]), ('b', prompts[1])])
    assert (failed.answer.labels, failed.failure.startswith('expected a short prompt')) == ((), True)
    assert (answered.answer.labels, answered.failure) == (('angry', 'sad'), '')
    other = open_clip_describer(tmp_path / 'describer', asr='none', question='Why?')
    assert 'likely_labels' not in other.record()


def test_the_distance_of_a_clip_is_one_at_a_deviation_from_the_mean_of_training():
    reader = SourceReader(Source('voice', 4, standardised=True), [4], 8)
    reader.mean.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    reader.deviation.copy_(torch.tensor([1.0, 1.0, 2.0, 2.0]))
    # (1 + 1 + 4 + 4) / 4 under the root, of the mean of both steps
    steps = torch.tensor([[3.0, 2.0, 3.0, 8.0], [1.0, 4.0, 11.0, 8.0]])
    assert reader.distance(steps) == pytest.approx(math.sqrt((1 + 1 + 4 + 4) / 4))
    assert reader.distance(reader.mean) == 0.0
    assert math.isnan(SourceReader(Source('voice', 4), [4], 8).distance(steps))


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
    with pytest.raises(WeightsError, match='--trunk'):
        open_clip_describer(path, recipes=recipes)
    clips = open_clip_describer(path, trunk=tmp_path / 'trunk', recipes=recipes, asr='none', limits=Limits(tokens=4))
    assert clips.reader.form.kind.sources == ('multi', 'voice', 'face')
    manifest = clips_manifest([('a.mp4', media / 'voice.wav')], {'a.mp4': 'I am fine.'})
    manifest = Manifest(manifest.facts, [dataclasses.replace(manifest.samples[0], video=str(media / 'voice.wav'))])
    ((clip, description),) = clips.describe(manifest, manifest.samples)
    assert description.failure == ''
    assert set(clip.features) == {'voice', 'face'}
    with pytest.raises(WeightsError, match='columns for the source face'):
        open_clip_describer(path, trunk=tmp_path / 'trunk', recipes={**recipes, 'face': one_face(7, 'face')})
