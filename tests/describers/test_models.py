"""Who is asked, and how: names, forms, questions, failures."""

from __future__ import annotations

import base64
import io
import json
import wave
from dataclasses import replace

import numpy as np
import pytest
import seeing
from made_up_sets import hears

from affekt.corpora import Facts, Manifest, Sample
from affekt.describers import ModelChoice, ServedDescriber, bench_models, model_choices, opened
from affekt.errors import LLMError, UnknownNameError, ValueRangeError
from affekt.labels import load_table
from affekt.llm import SERVERS, ClipLimits, Endpoint, LexiconExtractor, Reply
from affekt.media import Recording, write_video


def test_models_are_named_by_what_stands_before_the_equals_sign_or_by_the_end_of_the_path():
    choices = model_choices(
        ['a=http://h:1/v1', 'run/mine', 'b=out/x.pth', 'told/c.csv'],
        served=['a=Qwen/Omni'], servers=['llama.cpp', 'a=vllm'],
    )  # fmt: skip
    assert choices[0] == ModelChoice('a', 'http://h:1/v1', 'Qwen/Omni', 'vllm')
    assert [(each.name, each.where, each.server) for each in choices[1:]] == [
        ('mine', 'run/mine', 'llama.cpp'), ('b', 'out/x.pth', 'llama.cpp'), ('c', 'told/c.csv', 'llama.cpp'),
    ]  # fmt: skip
    assert model_choices(['http://host:8000/v1'])[0].name == 'host-8000'
    assert choices[0].form == 'served'


@pytest.mark.parametrize(
    'texts', [['a=x', 'a=y'], ['=x'], ['a='], ['a/b=http://x', 'a b<=c'], ['..=x'], ['.a=x'], [' =x']]
)
def test_names_that_come_twice_or_are_none_are_refused(texts):
    with pytest.raises(ValueRangeError, match='NAME=WHERE'):
        model_choices(texts)


def test_a_served_name_of_no_model_is_refused():
    with pytest.raises(ValueRangeError, match='a model among a; got b'):
        model_choices(['a=x'], served=['b=y'])
    with pytest.raises(ValueRangeError, match='NAME=MODEL; got Omni; write for example a=MODEL'):
        model_choices(['a=x'], served=['Omni'])


def test_what_lies_at_a_place_says_how_it_answers(tmp_path):
    (tmp_path / 'run' / 'describer').mkdir(parents=True)
    (tmp_path / 'run' / 'describer' / 'describer.json').write_text('{}')
    (tmp_path / 'told.csv').write_text('name,description\n')
    (tmp_path / 'w.pth').write_text('')
    forms = {name: ModelChoice('m', str(tmp_path / name)).form for name in ('run', 'told.csv', 'w.pth', '.')}
    assert forms == {'run': 'describer', 'told.csv': 'table', 'w.pth': 'describer', '.': 'predictions'}
    with pytest.raises(UnknownNameError, match='check the path'):
        assert ModelChoice('m', str(tmp_path / 'nowhere')).form


def test_a_folder_called_small_does_not_hide_the_describer_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (choice,) = model_choices(['small'])
    assert (choice.name, choice.form) == ('small', 'describer')
    (tmp_path / 'small').mkdir()
    assert choice.form == 'describer'
    (folder,) = model_choices(['./small'])
    assert (folder.name, folder.form) == ('small', 'predictions')


def describer(server, **more) -> ServedDescriber:
    chat = Endpoint(server.url, 'tiny', attempts=1, timeout_s=5.0)
    return ServedDescriber(chat, SERVERS['openai'], ClipLimits(sound=True), at_once=1, **more)


def test_a_question_holds_the_words_as_material_and_only_what_the_clip_has(server, sets):
    server.answer = hears
    manifest = Manifest.load(sets[1] / 'meld.parquet')
    model = describer(server)
    row = manifest.samples[0]
    said = list(model.answers(manifest, [row]))
    assert said[0].text == "The character's emotional state is angry. The voice is at 200 Hz."
    parts = seeing.content_of(server.questions[-1])
    assert [part['type'] for part in parts] == ['input_audio', 'text']
    assert parts[-1]['text'].endswith('{"says": "I say 0."}')
    silent = manifest.replaced(missing=['audio'] * len(manifest))
    list(model.answers(silent, [silent.samples[0]]))
    assert server.questions[-1]['messages'][-1]['content'].startswith('You are given the words of one person.')
    wordless = manifest.replaced(missing=['text'] * len(manifest))
    list(model.answers(wordless, [wordless.samples[0]]))
    assert 'I say 0.' not in str(server.questions[-1])  # a withheld transcript is not sent


def test_words_alone_are_asked_where_nothing_else_is_to_be_sent_and_sound_of_a_withheld_video_is_heard(server, sets):
    server.answer = hears
    manifest = Manifest.load(sets[1] / 'meld.parquet')
    row = manifest.samples[0]
    bare = ServedDescriber(Endpoint(server.url, 'tiny', attempts=1), SERVERS['openai'], ClipLimits(frames=0), at_once=1)
    assert [answer.failure for answer in bare.answers(manifest, [row])] == ['']
    assert server.questions[-1]['messages'][-1]['content'].startswith('You are given the words of one person.')
    unseen = replace(row, video=row.audio, audio=None, missing='video')
    assert [answer.failure for answer in describer(server).answers(manifest, [unseen])] == ['']
    assert [part['type'] for part in seeing.content_of(server.questions[-1])] == ['input_audio', 'text']


class _Noting:
    """Stands for a server; keeps the last question."""

    model, url, form = 'omni', 'http://localhost:1/v1', SERVERS['openai']

    def ask(self, request):
        self.content = request.messages[0]['content']
        return Reply('neutral', self.model)

    def kinds(self) -> list[str]:
        return [part['type'] for part in self.content]

    def sound_s(self) -> float:
        (part,) = [part for part in self.content if part['type'] == 'input_audio']
        with wave.open(io.BytesIO(base64.b64decode(part['input_audio']['data']))) as file:
            return file.getnframes() / file.getframerate()


@pytest.fixture
def silent_video_and_sound(tmp_path):
    """A video of three seconds without audio, and its audio in a file of its own."""
    write_video(tmp_path / 'a.mp4', [np.full((64, 64, 3), 8 * at, np.uint8) for at in range(30)], 10)
    with wave.open(str(tmp_path / 'a.wav'), 'wb') as file:
        file.setparams((1, 2, 16_000, 0, 'NONE', ''))
        file.writeframes((3000 * np.sin(np.arange(48_000) / 20)).astype('<i2').tobytes())
    return Facts('made up', root=str(tmp_path))


def test_the_audio_beside_a_silent_video_is_sent_with_its_frames(silent_video_and_sound):
    manifest = Manifest(silent_video_and_sound, [Sample('a', video='a.mp4', audio='a.wav')])
    noting = _Noting()
    list(ServedDescriber(noting, noting.form, ClipLimits(frames=2, sound=True)).answers(manifest, manifest.samples))
    assert noting.kinds() == ['image_url', 'image_url', 'input_audio', 'text']
    assert noting.sound_s() == 3.0
    list(ServedDescriber(noting, noting.form, ClipLimits(frames=2)).answers(manifest, manifest.samples))
    assert noting.kinds() == ['image_url', 'image_url', 'text']
    list(ServedDescriber(noting, noting.form, ClipLimits(0, sound=True)).answers(manifest, manifest.samples))
    assert noting.kinds() == ['input_audio', 'text']
    assert noting.sound_s() == 3.0
    (said,) = ServedDescriber(noting, noting.form, ClipLimits(0)).answers(manifest, manifest.samples)
    assert 'allow frames or audio to be sent' in said.failure


def test_an_audio_file_such_as_the_separated_voice_is_sent_in_place_of_the_audio_of_the_video(sets, tmp_path):
    meld = Manifest.load(sets[1] / 'meld.parquet')
    video = meld.media(meld.samples[0], 'audio')  # a file that has audio
    with wave.open(str(tmp_path / 'vocals.wav'), 'wb') as file:
        file.setparams((1, 2, 16_000, 0, 'NONE', ''))
        file.writeframes(np.full(3 * 1600, 3000, '<i2').tobytes())
    row = Sample('a', video=str(video), audio='vocals.wav')
    manifest = Manifest(Facts('made up', root=str(tmp_path)), [row, replace(row, sample='b', audio=None)])
    noting = _Noting()
    lengths = []
    for sample in manifest.samples:
        list(ServedDescriber(noting, noting.form).answers(manifest, [sample]))
        lengths.append(noting.sound_s())
    assert lengths[0] == 0.3
    assert lengths[1] == pytest.approx(Recording.open(video).duration_s, abs=0.01)


def test_of_a_clip_that_is_a_segment_its_part_of_the_recording_is_sent(silent_video_and_sound):
    part = Sample('part', audio='a.wav', recording='a', start_s=0.5, end_s=1.25)
    manifest = Manifest(silent_video_and_sound, [part])
    noting = _Noting()
    list(ServedDescriber(noting, noting.form).answers(manifest, manifest.samples))
    assert noting.sound_s() == 0.75


def test_a_segment_behind_the_end_of_its_audio_file_is_shown_without_sound(silent_video_and_sound, tmp_path):
    with wave.open(str(tmp_path / 'a.wav'), 'wb') as file:
        file.setparams((1, 2, 16000, 0, 'NONE', ''))
        file.writeframes(bytes(32000))
    part = Sample('part', video='a.mp4', audio='a.wav', recording='a', start_s=1.5, end_s=2.5)
    manifest = Manifest(silent_video_and_sound, [part, replace(part, sample='heard', video=None)])
    noting = _Noting()
    model = ServedDescriber(noting, noting.form, ClipLimits(frames=2, sound=True), at_once=1)
    seen, heard = model.answers(manifest, manifest.samples)
    assert (seen.failure, noting.kinds()) == ('', ['image_url', 'image_url', 'text'])
    assert 'got a.wav from 1.5 to 2.5 s, audio' in heard.failure
    assert heard.failure.endswith('or check the times of the segment')


def test_only_media_that_clips_have_are_probed(silent_video_and_sound):
    probed = []
    noting = _Noting()
    model = ServedDescriber(noting, noting.form, probe=probed.append)
    for sample in (
        Sample('silent', video='a.mp4'), Sample('both', video='a.mp4', audio='a.wav'), Sample('heard', audio='a.wav'),
        Sample('withheld', video='a.mp4', audio='a.wav', missing='video'), Sample('words', text='Hello'),
        Sample('gone', audio='gone.wav'),
    ):  # fmt: skip
        manifest = Manifest(silent_video_and_sound, [sample])
        list(model.answers(manifest, manifest.samples))
    assert probed == [('image', 'video'), ('image', 'video', 'audio'), ('audio',), ('audio',)]


def test_a_clip_that_cannot_be_asked_about_costs_no_other_its_answer(server, tmp_path):
    server.answer = hears
    rows = [Sample('a', text='I love it'), Sample('b'), Sample('c', audio='gone.wav'), Sample('d', text='Help')]
    manifest = Manifest(Facts('made up', root=str(tmp_path)), rows)
    said = list(describer(server).answers(manifest, manifest.samples))
    assert [bool(each.failure) for each in said] == [False, True, True, False]
    assert 'neither' in said[1].failure


def test_one_refused_clip_is_a_failure_and_a_server_that_is_gone_an_error(server, tmp_path):
    rows = [Sample(name, text=f'I say {name}') for name in 'abcdefgh']
    manifest = Manifest(Facts('made up'), rows)
    server.answer = lambda question: (400, 'too long') if 'say b' in json.dumps(question) else 'neutral'
    said = list(describer(server).answers(manifest, manifest.samples))
    assert [each.name for each in said if each.failure] == ['b']
    server.answer = lambda _: (400, 'no such model')
    with pytest.raises(LLMError, match='no such model'):
        list(describer(server).answers(manifest, manifest.samples))


def test_many_refused_clips_in_a_row_are_failures_while_the_server_answers_plain_words(server):
    manifest = Manifest(Facts('made up'), [Sample(f'{at}', text=f'I say {at}') for at in range(12)])
    server.answer = lambda question: 'neutral' if 'I say 11' in str(question) or 'yes' in str(question) else (400, 'no')
    said = list(describer(server).answers(manifest, manifest.samples))
    assert [each.name for each in said if not each.failure] == ['11']
    server.answer = lambda question: 'yes' if 'one word yes' in str(question) else 500  # busy with each clip, not gone
    assert all(each.failure for each in describer(server).answers(manifest, manifest.samples))


def test_a_server_that_drops_sound_is_not_asked_about_any_clip(server, sets, tmp_path):
    def deaf(question):
        parts = [part for part in seeing.content_of(question) if part['type'] != 'input_audio']
        if parts[-1]['text'].startswith('Listen'):
            return 'short'
        return seeing.answer({'messages': [{'content': parts}]})

    server.answer = deaf
    manifest = Manifest.load(sets[1] / 'meld.parquet')
    choice = ModelChoice('m', server.url)
    with opened(choice, tmp_path / 'm') as model, pytest.raises(LLMError, match='the audio is dropped'):
        list(model.answers(manifest, manifest.samples))
    assert not any('emotional state' in json.dumps(question) for question in server.questions)
    with opened(choice, tmp_path / 'm', limits=ClipLimits(sound=False)) as model:
        assert model.record()['server'] == 'openai'


def test_words_alone_need_no_probe(server, tmp_path):
    server.answer = hears
    manifest = Manifest(Facts('made up'), [Sample('a', text='I love it')])
    with opened(ModelChoice('m', server.url), tmp_path / 'm') as model:
        assert [said.failure for said in model.answers(manifest, manifest.samples)] == ['']
    assert len(server.questions) == 1


def test_a_table_cannot_be_asked_about_the_sets_of_a_benchmark(tmp_path):
    (tmp_path / 'a.csv').write_text('name,description\nx,So.\n')
    with pytest.raises(ValueRangeError, match='a table'):
        bench_models(
            [ModelChoice('a', str(tmp_path / 'a.csv'))], tmp_path / 'out', labels=tmp_path, media=tmp_path,
            open_model=lambda choice, folder: pytest.fail('opened'), extractor=LexiconExtractor(load_table('affekt')),
            rng=np.random.default_rng(0), table=load_table('affekt'),
        )  # fmt: skip
