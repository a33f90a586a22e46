"""A describer of this process hears or sees for captions, through the interface of any model."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from caption_runs import settings_for

from affekt.captioning import CaptionSettings, Models, Place, caption, place_of, read_captions
from affekt.captioning import describing_model as module
from affekt.captioning.media import parts_for
from affekt.errors import LLMError
from affekt.llm import ClipLimits, Request
from affekt.media import Recording


@dataclass
class FakeDescriber:
    """Says what it was given of each clip; is given nothing it can use where nothing is said."""

    modalities: tuple[str, ...] = ('audio', 'video')
    given: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def reader(self):
        recipes = {name: SimpleNamespace(modality=name) for name in self.modalities}
        return SimpleNamespace(form=SimpleNamespace(recipes=recipes))

    def describe(self, manifest, samples):
        answers = []
        for row in samples:
            sound, seen = (manifest.media(row, column) for column in ('audio', 'video'))
            size = sum(len(block.samples) for block in Recording.open(sound).samples()) if sound else 0
            pictures = len(list(Recording.open(seen).frames())) if seen else 0
            self.given.append((size, pictures, row.text))
            text = f'The person seems sad, by {size} samples and {pictures} pictures.'
            failure = '' if row.text else 'no face, and nothing was understood'
            description = SimpleNamespace(answer=SimpleNamespace(text=text), raw=text, finish='end', failure=failure)
            answers.append((None, description))
        return answers


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / 'run' / 'describer'
    place.mkdir(parents=True)
    (place / 'describer.json').write_text('{}')
    return tmp_path / 'run'


def _settings(server, place, **chosen):
    asked = settings_for(server, **chosen)
    return type(asked)(Models(place, place, asked.models.merge))


def test_a_describer_hears_the_sound_and_sees_the_pictures_of_each_clip_and_a_server_merges(
    corpus, serve, tmp_path, folder, monkeypatch
):
    fake, server = FakeDescriber(), serve()
    monkeypatch.setattr(module, '_opened', lambda *named: fake)
    manifest = corpus(5)
    place = place_of(str(folder))
    assert place.model.startswith('run ')
    made = caption(manifest, _settings(server, place), tmp_path / 'out', at_once=2)
    table = read_captions(tmp_path / 'out')
    # 0.2 s, 0.3 s … of sound, and one picture; the words beside them; the fifth clip says nothing, and is not perceived
    assert sorted(text for _, pictures, text in fake.given if pictures) == sorted(row.text for row in manifest.samples)
    assert sorted(size for size, *_ in fake.given if size) == [3200, 4800, 6400, 8000, 9600]
    assert made.statuses == {'merged': 4, 'unjudged': 1}
    assert table.column('audio_clue')['clip000'] == 'The person seems sad, by 3200 samples and 0 pictures.'
    assert (table.column('audio_status')['clip004'], table.column('visual_status')['clip004']) == ('refused', 'refused')
    assert 'nothing was understood' in table.column('why')['clip004']
    assert not any('You listen' in str(question) for question in server.questions)  # nor is anything probed
    assert f'audio: {place.model}' in table.column('models')['clip000']


def test_other_weights_under_one_name_are_another_model_and_a_describer_cannot_merge(folder):
    first = place_of(str(folder))
    (folder / 'describer' / 'describer.safetensors').write_bytes(b'other')
    assert place_of(str(folder)).model != first.model
    names = {
        place_of(str(folder)).model,
        place_of(str(folder), trunk='some/qwen').model,
        place_of(str(folder), recipes=[('voice', 'acoustics-utt')]).model,
    }
    assert len(names) == 3  # other answers are not taken for theirs
    assert place_of(str(folder), trunk='elsewhere/qwen').model in names
    server = Place('http://127.0.0.1:9/v1', 'm')
    with pytest.raises(LLMError, match='merges clues'):
        Models(server, server, first)


def test_a_describer_that_does_not_hear_is_refused_for_the_audio_clue_before_any_clip(
    corpus, serve, tmp_path, folder, monkeypatch
):
    monkeypatch.setattr(module, '_opened', lambda *named: FakeDescriber(('video',)))
    with pytest.raises(LLMError, match='a describer that hears, for the audio clue'):
        caption(corpus(2), _settings(serve(), place_of(str(folder))), tmp_path / 'out')


def test_a_real_describer_on_a_tiny_trunk_is_asked_about_the_sound_of_a_clip(corpus, serve, tmp_path):
    from clip_describers import saved_describer, write_sound
    from clip_describers import tone as voice

    from affekt.description import open_clip_describer

    manifest, server = corpus(2), serve()
    for name in ('clip000', 'clip001'):
        write_sound(tmp_path / 'media' / f'{name}.wav', voice())
    place = place_of(str(saved_describer(tmp_path)), recipes=(('face', 'acoustics-utt'),))
    asked = settings_for(server)
    made = caption(manifest, CaptionSettings(Models(place, asked.models.visual, asked.models.merge)), tmp_path / 'out')
    assert sum(made.statuses.values()) == 2
    # six tokens of a trunk that learnt nothing are no sentence
    assert read_captions(tmp_path / 'out').column('why')['clip000'] == 'audio: an empty answer'
    row = manifest.samples[0]
    content = [*parts_for(manifest, row, 'audio', ClipLimits(), place.form).parts, {'type': 'text', 'text': row.text}]
    with contextlib.ExitStack() as servers:
        reply = place.open(servers).ask(Request(({'role': 'user', 'content': content},), 'test-1'))
    clips = open_clip_describer(place.where, recipes={'face': 'acoustics-utt'}, asr='none')
    ((_, description),) = clips.describe(manifest, [row])
    assert reply.text == description.raw != ''
