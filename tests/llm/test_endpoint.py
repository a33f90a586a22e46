"""A chat server over real sockets: good answers, passing faults, lasting faults."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from affekt.errors import AffektError, LLMError, QuestionRefusedError
from affekt.llm import LEFT_OUT_BY, Endpoint, Reply, Request

QUESTION = Request(({'role': 'user', 'content': 'How?'},), 'test-1')


def endpoint(server, pauses: list[float] | None = None, **more) -> Endpoint:
    pauses = [] if pauses is None else pauses
    return Endpoint(server.url, 'tiny', **{'sleep': pauses.append, 'timeout_s': 5.0, **more})


def test_a_question_is_sent_as_the_chat_api_has_it_and_the_answer_comes_back(server):
    server.script = ['joy']
    reply = endpoint(server, api_key='secret').ask(QUESTION)
    assert reply == Reply('joy', 'tiny-1', 'stop', {'total_tokens': 3})
    assert server.questions == [
        {
            'model': 'tiny',
            'messages': [{'role': 'user', 'content': 'How?'}],
            'temperature': 0.0,
            'seed': 0,
            'max_tokens': 512,
        }
    ]
    assert server.headers[0]['Authorization'] == 'Bearer secret'


def test_content_in_parts_and_a_response_format_go_through(server):
    parts = [{'type': 'text', 'text': 'What?'}, {'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,AA'}}]
    endpoint(server).ask(Request(({'role': 'user', 'content': parts},), 'x', response_format={'type': 'json_object'}))
    assert server.questions[0]['messages'][0]['content'] == parts
    assert server.questions[0]['response_format'] == {'type': 'json_object'}


@pytest.mark.parametrize(
    'fault', [429, 500, 503, 408, 'cut', 'cut chunk', 'no length', 'close', 'nonsense', 'no choices']
)
def test_a_passing_fault_is_tried_again_after_doubling_pauses(server, fault):
    server.script = [fault, fault, fault, 'joy']
    pauses: list[float] = []
    assert endpoint(server, pauses).ask(QUESTION).text == 'joy'
    assert pauses == [1.0, 2.0, 4.0]
    assert len(server.questions) == 4


def test_a_server_that_hangs_is_left_after_the_timeout_and_asked_again(server):
    server.script = ['hang', 'joy']
    assert endpoint(server, timeout_s=0.2).ask(QUESTION).text == 'joy'


def test_the_pause_that_a_server_asks_for_is_kept_up_to_the_longest(server):
    server.script = [429, 429, 'joy']
    server.retry_after = '7'
    pauses: list[float] = []
    endpoint(server, pauses, timeout_s=10.0).ask(QUESTION)
    assert pauses == [7.0, 7.0]
    server.script = [429, 'joy']
    endpoint(server, pauses, timeout_s=3.0).ask(QUESTION)
    assert pauses[2:] == [3.0]
    server.script, server.retry_after = [429, 'joy'], '86400'
    endpoint(server, pauses, longest_pause_s=20.0).ask(QUESTION)
    assert pauses[3:] == [20.0]


@pytest.mark.parametrize('retry_after', ['Wed, 21 Oct 2026 07:28:00 GMT', '-3', 'nan', 'soon'])
def test_a_pause_that_is_no_number_is_not_kept(server, retry_after):
    server.script, server.retry_after = [429, 'joy'], retry_after
    pauses: list[float] = []
    endpoint(server, pauses).ask(QUESTION)
    assert pauses == [1.0]


@pytest.mark.parametrize('fault', [500, 'cut', 'nonsense', 'hang'])
def test_a_fault_that_stays_is_one_clear_error(server, fault):
    server.script = [fault] * 3
    with pytest.raises(LLMError, match=r'last of 3 attempts; .*answers so far are kept') as raised:
        endpoint(server, attempts=3, timeout_s=0.2).ask(QUESTION)
    assert isinstance(raised.value, AffektError)
    assert isinstance(raised.value, OSError)
    assert len(server.questions) == 3


SHOWN = Request(
    ({'role': 'user', 'content': [
        {'type': 'text', 'text': 'What?'}, {'type': 'image_url', 'image_url': {'url': 'data:image/jpeg;base64,AA'}},
    ]},), 'x',
)  # fmt: skip


def blind(question):
    return 'yes' if isinstance(question['messages'][0]['content'], str) else 500


def test_a_server_that_fails_on_pictures_for_good_is_told_after_three_attempts_and_then_after_one(server):
    server.answer = blind
    model = endpoint(server)
    with pytest.raises(LLMError, match=r'question with image; got HTTP 500 .* each time, while plain words') as raised:
        model.ask(SHOWN)
    assert not isinstance(raised.value, QuestionRefusedError)  # the same command asks again
    assert len(server.questions) == 4  # three times the picture, once plain words
    with pytest.raises(LLMError):
        model.ask(SHOWN)
    assert len(server.questions) == 5
    assert model.ask(QUESTION).text == 'yes'  # words alone are answered as before


def test_a_lasting_failure_on_media_names_the_options_that_leave_them_out(server):
    server.answer = blind
    with pytest.raises(LLMError, match=r'or leave that out \(--frames 0\)$'):
        endpoint(server, left_out_by=LEFT_OUT_BY).ask(SHOWN)
    assert Endpoint('http://localhost', 'm').how_to_leave_out(['audio']) == 'leave that out'


def test_a_server_that_sees_again_is_asked_as_often_as_before(server):
    server.answer = blind
    model = endpoint(server)
    with pytest.raises(LLMError):
        model.ask(SHOWN)
    server.script = ['red']
    assert model.ask(SHOWN).text == 'red'
    server.script = [500, 500, 500, 500, 500, 'red']
    assert model.ask(SHOWN).text == 'red'


def test_a_server_that_fails_on_plain_words_too_only_fails_for_a_moment(server):
    server.script = [500, 500, 500, 500, 'red']  # the fourth is the plain question
    assert endpoint(server).ask(SHOWN).text == 'red'


@pytest.mark.parametrize('fault', [503, 'cut', 'close'])
def test_faults_other_than_500_say_nothing_of_pictures(server, fault):
    server.script = [fault] * 5 + ['red']
    assert endpoint(server).ask(SHOWN).text == 'red'
    assert len(server.questions) == 6


@pytest.mark.parametrize('state', [401, 402, 404])
def test_a_fault_of_the_key_or_the_model_is_raised_at_once_with_the_words_of_the_server(server, state):
    server.script = [state]
    with pytest.raises(LLMError, match=rf'HTTP {state} \(state {state}\)') as raised:
        endpoint(server).ask(QUESTION)
    assert not isinstance(raised.value, QuestionRefusedError)
    assert len(server.questions) == 1


@pytest.mark.parametrize('state', [400, 403, 413, 422, 451])
def test_a_refused_question_is_told_from_a_server_that_refuses_all_by_plain_words(server, state):
    question = replace(QUESTION, response_format={'type': 'json_object'})
    server.script = [state, 'yes']
    with pytest.raises(QuestionRefusedError, match=rf'HTTP {state} \(state {state}\)'):
        endpoint(server).ask(question)
    refused, plain = server.questions
    assert plain['messages'] != refused['messages']
    assert {name: plain[name] for name in plain if name != 'messages'} == {
        name: refused[name] for name in refused if name != 'messages'
    }  # a format or a length that the server does not know is refused there too
    server.script = [state, 400]
    with pytest.raises(LLMError, match=rf'HTTP {state} \(state {state}\)') as raised:
        endpoint(server).ask(question)
    assert not isinstance(raised.value, QuestionRefusedError)


def test_an_answer_that_a_filter_withholds_is_refused_and_a_refusal_in_words_is_an_answer(server):
    withheld = {'choices': [{'message': {'content': None}, 'finish_reason': 'content_filter'}]}
    server.script = [withheld, 'yes']
    with pytest.raises(QuestionRefusedError, match='filter'):
        endpoint(server).ask(QUESTION)
    for message in ({'content': None, 'refusal': 'I cannot.'}, {'refusal': 'I cannot.'}):
        server.script = [{'choices': [{'message': message, 'finish_reason': 'stop'}]}]
        assert endpoint(server).ask(QUESTION).text == 'I cannot.'


def test_a_redirect_is_not_followed(server):
    server.script = ['redirect']
    with pytest.raises(LLMError, match='HTTP 307'):
        endpoint(server, api_key='secret').ask(QUESTION)


def test_nobody_listening_is_one_clear_error():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with pytest.raises(LLMError, match='no connection'):
        Endpoint(f'http://127.0.0.1:{port}/v1', 'tiny', attempts=2, sleep=lambda _: None).ask(QUESTION)


@pytest.mark.parametrize(
    'url', ['', 'localhost:8000', 'ftp://x/v1', 'http://', 'http://x:99999/v1', 'http://x/ v1', 'file:///etc/passwd']
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(LLMError, match='http or https address'):
        Endpoint(url, 'tiny')


def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown():
    with pytest.raises(LLMError) as raised:
        Endpoint('http://localhost/v1', 'tiny', api_key='se\ncret')
    assert 'cret' not in str(raised.value)


@pytest.mark.parametrize('url', ['http://h/v1', 'http://h/v1/', 'http://h/v1/chat/completions'])
def test_the_path_is_added_where_it_is_missing(url):
    assert Endpoint(url, 'tiny').url == 'http://h/v1/chat/completions'


def test_an_answer_in_parts_is_joined_and_one_without_text_is_a_fault(server):
    parts = [{'type': 'text', 'text': 'a'}, {'type': 'text', 'text': 'b'}]
    server.script = [{'choices': [{'message': {'content': parts}, 'finish_reason': 'length'}]}]
    reply = endpoint(server).ask(QUESTION)
    assert (reply.text, reply.is_cut, reply.model) == ('ab', True, 'tiny')
    server.script = [{'choices': [{'message': {'content': None}}]}] * 2
    with pytest.raises(LLMError, match='cannot be read'):
        endpoint(server, attempts=2).ask(QUESTION)


def test_the_key_of_a_question_depends_on_all_that_decides_the_answer_and_on_nothing_else():
    same = Request([{'content': 'How?', 'role': 'user'}], 'test-1')
    assert same.key('tiny') == QUESTION.key('tiny')
    others = [
        Request(QUESTION.messages, 'test-2'),
        Request(QUESTION.messages, 'test-1', temperature=0.7),
        Request(QUESTION.messages, 'test-1', seed=1),
        Request(QUESTION.messages, 'test-1', max_tokens=1),
        Request(QUESTION.messages, 'test-1', response_format={'type': 'json_object'}),
        Request(({'role': 'user', 'content': 'Why?'},), 'test-1'),
    ]
    assert len({QUESTION.key('tiny'), QUESTION.key('other'), *(other.key('tiny') for other in others)}) == 8
