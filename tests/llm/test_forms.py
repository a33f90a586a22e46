"""Media as each server takes them: what is written, what is refused, and what a whole clip becomes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import seeing

from affekt.errors import LLMError, UnknownNameError, ValueRangeError
from affekt.llm import SERVERS, ClipLimits, Endpoint, Request, clip_parts, form_of, without_media
from affekt.llm.probe import COLOURS
from affekt.media import write_video
from affekt.media.synthetic import tone


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """Four seconds, green and then yellow, with a tone."""
    images = [np.full((97, 129, 3), COLOURS[name], np.uint8) for name in ('green', 'yellow') for _ in range(40)]
    path = tmp_path_factory.mktemp('clips') / 'clip.mkv'
    even = [image[:96, :128] for image in images]
    return write_video(path, even, 20.0, tone(4.0))


def asked(form, clip, server, **limits):
    """The types of the parts that a server of that name is sent, and the parts."""
    parts = clip_parts(clip, ClipLimits(sound=True, **limits), SERVERS[form])
    content = [*parts, {'type': 'text', 'text': 'What?'}]
    Endpoint(server.url, 'tiny', server=form, timeout_s=5.0).ask(Request(({'role': 'user', 'content': content},), 'x'))
    got = seeing.content_of(server.questions[-1])
    return [part['type'] for part in got], got


@pytest.mark.parametrize('form', ['vllm', 'transformers'])
def test_a_server_that_takes_video_gets_it_without_its_sound_and_the_sound_beside_it(form, clip, server):
    kinds, parts = asked(form, clip, server)
    assert kinds == ['video_url', 'input_audio', 'text']
    assert seeing.video_in(parts[0]) == (['green', 'yellow'], False)
    assert len(seeing.sound_in(parts[1])) == pytest.approx(4 * 16_000, abs=1600)


@pytest.mark.parametrize('form', ['llama.cpp', 'openai'])
def test_a_server_without_video_gets_frames_in_order_and_the_sound_beside_them(form, clip, server):
    kinds, parts = asked(form, clip, server, frames=4)
    assert kinds == ['image_url'] * 4 + ['input_audio', 'text']
    assert [seeing.colour_of(seeing.picture_in(part)) for part in parts[:4]] == ['green', 'green', 'yellow', 'yellow']
    assert len(seeing.sound_in(parts[4])) == pytest.approx(4 * 16_000, abs=1600)


def test_what_is_sent_without_a_server_named_is_what_was_sent_before_there_were_names(clip):
    limits = ClipLimits(sound=True)
    assert clip_parts(clip, limits) == clip_parts(clip, limits, SERVERS['openai'])
    assert Endpoint('http://h/v1', 'tiny').form is SERVERS['openai']


def test_a_long_video_is_few_frames_that_cover_all_of_it(tmp_path):
    images = [np.full((48, 64, 3), COLOURS[name], np.uint8) for name in ('red', 'blue') for _ in range(60)]
    path = write_video(tmp_path / 'long.mp4', images, 2.0)  # one minute
    (part,) = clip_parts(path, ClipLimits(video_frames=10), SERVERS['vllm'])
    assert seeing.video_in(part) == (['red', 'blue'], False)
    with pytest.raises(ValueRangeError, match='frames of a video'):
        ClipLimits(video_frames=0)


def test_a_picture_stays_a_picture_whatever_server_is_asked(tmp_path):
    from affekt.media.writing import write_image

    path = write_image(tmp_path / 'still.png', np.full((64, 64, 3), COLOURS['red'], np.uint8))
    (part,) = clip_parts(path, ClipLimits(), SERVERS['vllm'])
    assert part['type'] == 'image_url'


@pytest.mark.parametrize('form', ['openai', 'llama.cpp'])
def test_a_part_that_a_server_has_no_form_for_is_refused_before_it_is_sent(form, server):
    video = {'type': 'video_url', 'video_url': {'url': 'data:video/mp4;base64,AA'}}
    with pytest.raises(LLMError, match=rf'parts that {form} takes .*got video_url; .*--server'):
        Endpoint(server.url, 'tiny', server=form).ask(Request(({'role': 'user', 'content': [video]},), 'x'))
    assert server.questions == []
    with pytest.raises(LLMError, match='got video'):
        SERVERS[form].part('video', b'')


def test_a_form_without_sound_refuses_a_clip_that_is_to_be_heard(clip):
    deaf = dataclasses.replace(SERVERS['vllm'], audio=())
    with pytest.raises(LLMError, match='got audio'):
        clip_parts(clip, ClipLimits(sound=True), deaf)


def test_a_server_with_a_misspelt_name_is_answered_with_what_was_meant():
    with pytest.raises(UnknownNameError, match="'vllm'"):
        form_of('vlm')
    with pytest.raises(UnknownNameError, match=r'llama\.cpp'):
        Endpoint('http://h/v1', 'tiny', server='ollama')


def test_the_same_question_without_sound_keeps_everything_else(clip):
    parts = clip_parts(clip, ClipLimits(sound=True, frames=2))
    content = [*parts, {'type': 'text', 'text': 'What?'}]
    request = Request(({'role': 'system', 'content': 'Short.'}, {'role': 'user', 'content': content}), 'x', seed=3)
    silent = without_media(request, 'audio')
    assert [part['type'] for part in silent.messages[1]['content']] == ['image_url', 'image_url', 'text']
    assert (silent.messages[0], silent.seed) == (request.messages[0], 3)
    assert silent.key('m') != request.key('m')
    assert without_media(silent, 'audio') is silent
