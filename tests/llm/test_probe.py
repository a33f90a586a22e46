"""Whether media reach a model: servers that hand them on, drop them in silence, refuse them, or guess."""

from __future__ import annotations

import itertools
import json

import pytest
import seeing
from click.testing import CliRunner

from affekt.cli import main
from affekt.errors import LLMError, UnknownNameError
from affekt.llm import SERVERS, Endpoint, Request, probe, require_media, sound_use


def endpoint(server, form='vllm') -> Endpoint:
    return Endpoint(server.url, 'tiny', server=form, timeout_s=5.0, sleep=lambda _: None)


def without(*dropped):
    """A server that drops parts of these types and says nothing."""

    def answer(question):
        parts = [part for part in seeing.content_of(question) if part['type'] not in dropped]
        if parts[-1]['text'].startswith('Listen') and 'input_audio' in dropped:
            return 'short'
        colours = [part for part in parts if part['type'] != 'text']
        return seeing.answer({'messages': [{'content': parts}]}) if colours else 'I see red, I think.'

    return answer


@pytest.mark.parametrize('form', list(SERVERS))
def test_a_server_that_hands_everything_on_passes_whatever_form_it_takes(form, server):
    server.answer = seeing.answer
    assert [(each.medium, each.state) for each in probe(endpoint(server, form))] == [
        ('image', 'received'), ('audio', 'received'), ('video', 'received'),
    ]  # fmt: skip
    assert len(server.questions) == 1 + 3 * 4


@pytest.mark.parametrize(
    ('dropped', 'medium'), [('image_url', 'image'), ('input_audio', 'audio'), ('video_url', 'video')]
)
def test_a_server_that_drops_one_medium_in_silence_fails_by_name(server, dropped, medium):
    server.answer = without(dropped)
    states = {each.medium: each.state for each in probe(endpoint(server))}
    assert states == {**dict.fromkeys(('image', 'audio', 'video'), 'received'), medium: 'dropped'}
    with pytest.raises(LLMError, match=rf'the {medium} is dropped silently.*--server \(now vllm\)'):
        require_media(endpoint(server), [medium])


def test_a_server_without_video_that_keeps_only_the_first_picture_fails_for_video(server):
    def answer(question):
        parts = seeing.content_of(question)
        pictures = [part for part in parts if part['type'] == 'image_url'][:1]
        return seeing.answer({'messages': [{'content': [*pictures, parts[-1]]}]})

    server.answer = answer
    (result,) = probe(endpoint(server, 'llama.cpp'), ['video'])
    assert result.state == 'unclear'


def test_a_model_that_guesses_does_not_pass(server):
    guesses = itertools.cycle(['red', 'green', 'blue', 'yellow', 'short', 'silent', 'long'])
    server.answer = lambda _: next(guesses)
    assert {each.state for each in probe(endpoint(server))} == {'unclear'}


def test_a_model_that_repeats_the_question_does_not_pass(server):
    server.answer = lambda question: seeing.content_of(question)[-1]['text']
    assert {each.state for each in probe(endpoint(server))} == {'dropped'}


def test_a_right_answer_after_thinking_aloud_of_others_passes(server):
    server.answer = lambda question: f'<think>red, no, green or blue?</think>{seeing.answer(question)}'
    assert [each.state for each in probe(endpoint(server), ['image'])] == ['received']


@pytest.mark.parametrize('state', [400, 500])
def test_a_server_that_refuses_is_shown_with_its_words_and_not_asked_six_times(server, state):
    def answer(question):
        return 'yes' if isinstance(question['messages'][0]['content'], str) else state

    server.answer = answer
    if state == 500:
        server.answer = lambda question: 'yes' if len(server.questions) == 1 else state
    (result,) = probe(Endpoint(server.url, 'tiny', attempts=2, sleep=lambda _: None), ['image'])
    assert result.state == 'refused'
    assert f'HTTP {state} (state {state})' in result.refusal


def test_a_server_that_says_500_because_its_model_sees_nothing_is_asked_once(server):
    words = 'image input is not supported - hint: you may need to provide the mmproj'
    server.answer = lambda question: 'yes' if len(server.questions) == 1 else (500, words)
    (result,) = probe(endpoint(server, 'llama.cpp'), ['image'])
    assert (result.state, len(server.questions)) == ('refused', 3)  # plain words, the picture, plain words again
    assert words in result.sentence


def test_sound_is_probed_by_itself_where_pictures_are_refused_and_one_reason_is_said_once(server):
    def hears_alone(question):
        parts = question['messages'][0]['content']
        sees = not isinstance(parts, str) and any(part['type'] == 'image_url' for part in parts)
        return 'yes' if isinstance(parts, str) else 500 if sees else seeing.answer(question)

    server.answer = hears_alone
    states = {each.medium: each.state for each in probe(endpoint(server, 'openai'))}
    assert states == {'image': 'refused', 'audio': 'received', 'video': 'refused'}
    with pytest.raises(LLMError, match='every image, audio and video') as raised:
        require_media(endpoint(server, 'openai'), ('image', 'audio', 'video'))
    assert raised.value.came.count('HTTP 500') == 1
    assert raised.value.came.startswith('the server refuses the image and video: ')


def test_a_server_that_is_not_there_is_an_error_and_no_state(server):
    server.answer = lambda _: 404
    with pytest.raises(LLMError, match='HTTP 404'):
        probe(endpoint(server))
    with pytest.raises(UnknownNameError, match='smell'):
        probe(endpoint(server), ['smell'])


def test_what_came_through_is_not_asked_again_in_a_folder_and_what_did_not_is(server, tmp_path):
    server.answer = seeing.answer
    require_media(endpoint(server), ['image'], tmp_path)
    asked = len(server.questions)
    require_media(endpoint(server), ['image'], tmp_path)
    assert len(server.questions) == asked
    server.answer = without('input_audio')
    for _ in range(2):
        with pytest.raises(LLMError, match='the audio is dropped'):
            require_media(endpoint(server), ['image', 'audio'], tmp_path)
    assert len(server.questions) == asked + 2 * 5
    server.answer = seeing.answer
    require_media(endpoint(server), ['image', 'audio'], tmp_path)
    assert json.loads((tmp_path / 'probes.json').read_text()) == {
        f'probe-2 vllm {server.url}/chat/completions tiny': ['audio', 'image']
    }
    require_media(endpoint(server, 'openai'), ['image'], tmp_path)  # another form is another question
    assert len(server.questions) == asked + 3 * 5 + 5


def test_a_damaged_note_is_none(server, tmp_path):
    (tmp_path / 'probes.json').write_text('[1')
    server.answer = seeing.answer
    require_media(endpoint(server), ['image'], tmp_path)
    assert 'image' in (tmp_path / 'probes.json').read_text()


def test_the_use_of_sound_is_the_share_of_answers_that_change_without_it(server):
    sound = {'type': 'input_audio', 'input_audio': {'data': 'AAAA', 'format': 'wav'}}

    def question(number, *parts):
        return Request(({'role': 'user', 'content': [*parts, {'type': 'text', 'text': f'{number}'}]},), 'x')

    def answer(asked):
        parts = seeing.content_of(asked)
        return 'heard' if len(parts) == 2 and int(parts[-1]['text']) < 3 else 'guessed'

    server.answer = answer
    use = sound_use(endpoint(server), [*(question(number, sound) for number in range(4)), question(9)])
    assert (use.asked, use.changed, use.share) == (4, 3, 0.75)


def test_the_command_says_what_reaches_the_model_and_ends_with_2_where_something_does_not(server):
    server.answer = without('input_audio')
    words = ['doctor', '--endpoint', server.url, '--model', 'tiny', '--server', 'vllm']
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert 'The audio is dropped silently' in ' '.join(result.output.split())
    assert all(len(line) <= 80 for line in result.output.splitlines())
    answered = json.loads(CliRunner().invoke(main, [*words, '--json']).output)
    assert {each['medium']: each['state'] for each in answered['media']}['audio'] == 'dropped'
    server.answer = seeing.answer
    assert CliRunner().invoke(main, words).exit_code == 0
    assert CliRunner().invoke(main, words[:3]).exit_code == 2
