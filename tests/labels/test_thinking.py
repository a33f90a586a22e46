"""What a model thinks aloud is no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.labels import read_labels
from affekt.labels.thinking import without_thinking

THOUGHT = 'He frowns, perhaps sad or angry.'


@pytest.mark.parametrize(
    'text',
    [
        f'<think>{THOUGHT}</think><answer>happy</answer>',
        f'<think>{THOUGHT}</think>\n\nhappy',
        f'<thinking>{THOUGHT}</thinking>happy',
        f'<reasoning>{THOUGHT}</reasoning><answer>happy</answer>',
        f'<analysis>{THOUGHT}</analysis>\nhappy',
        f'<rationale>{THOUGHT}</rationale>\nhappy',
        f'<think>{THOUGHT}</think>\\boxed{{\\text{{happy}}}}',
        f'analysis{THOUGHT}assistantfinalhappy',
        f'<THINK>\n{THOUGHT}\n</THINK>\nhappy',
        f'< think >{THOUGHT}< / think >happy',
        f'<think type="long">{THOUGHT}</think>happy',
        f'◁think▷{THOUGHT}◁/think▷happy',
        f'[THINK]{THOUGHT}[/THINK]happy',
        f'<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>happy<|END_RESPONSE|>',
        f'<|begin_of_thought|>{THOUGHT}<|end_of_thought|><|begin_of_solution|>happy<|end_of_solution|>',
        f'<seed:think>{THOUGHT}</seed:think>happy',
        f'&lt;think&gt;{THOUGHT}&lt;/think&gt;happy',
        f'{THOUGHT}</think>happy',
        f'\n{THOUGHT}\n</think>\n\n<answer>happy</answer>',
        f'<think>{THOUGHT}<think>or fear</think>joy</think>happy',
        f'<think>{THOUGHT} I write <think> here.</think>happy',
        f'<think>{THOUGHT}</think><think>surprised?</think>happy',
        f'<think>{THOUGHT}</think><answer>sad</answer><answer>happy</answer>',
        f'<think>{THOUGHT}</think><answer>happy</answer><answer></answer>',
        f'<think>{THOUGHT} <answer>sad</answer></think><answer>happy</answer>',
        f'<think>{THOUGHT}</think><answer>happy',
        f'<think>{THOUGHT} <answer>happy</answer>',
        f'<think>{THOUGHT}</think>\\boxed{{happy}}',
        f'<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>happy<|return|>',
        f'<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>happy',
        f'<|channel|>analysis {THOUGHT}<|channel|>final happy',
        f'<|channel|>analysis{THOUGHT}<|channel|>finalhappy',
        f'analysis{THOUGHT}assistantfinal happy',
    ],
)
def test_the_answer_is_kept_and_the_thinking_dropped(text):
    final = without_thinking(text)
    assert final.text == 'happy'
    assert final.has_thinking
    assert read_labels(text, {'happy', 'sad', 'angry', 'surprised'}).labels == ('happy',)
    assert read_labels(text).labels == ('happy',)


@pytest.mark.parametrize(
    'text',
    [
        f'<think>{THOUGHT}',
        f'happy, no <think>{THOUGHT}</think>'.replace('happy, no ', ''),
        f'◁think▷{THOUGHT}',
        f'<|channel|>analysis<|message|>{THOUGHT}',
        f'{THOUGHT}</think>',
        f'analysis{THOUGHT}',
        f'<think>{THOUGHT}</think><answer></answer>',
    ],
)
def test_thinking_without_an_answer_is_an_empty_answer(text):
    assert without_thinking(text).text == ''
    assert read_labels(text, {'sad', 'angry'}).labels == ()
    assert read_labels(text).how == 'empty'
    assert read_labels(text).has_thinking


@pytest.mark.parametrize(
    'text',
    [
        '<answer>happy</answer>',
        '<Answer> happy',
        'happy</answer>',
        '<final_answer>happy</final_answer>',
        '<|channel|>final<|message|>happy<|return|>',
        '<think/>happy',
    ],
)
def test_a_marked_answer_without_thinking_is_unwrapped(text):
    final = without_thinking(text)
    assert (final.text, final.has_thinking) == ('happy', False)


@pytest.mark.parametrize(
    'text', ['[happy, sad]', 'a < b & c', 'I think he is sad.', '<i>happy</i>', 'analysis: happy', '[thinking, happy]']
)
def test_text_without_such_marks_comes_back_as_it_is(text):
    final = without_thinking(text)
    assert (final.text, final.has_thinking) == (text, False)


def test_thinking_longer_than_what_is_read_of_an_answer_is_dropped_first():
    assert read_labels(f'<think>{"sad. " * 50_000}</think>happy').labels == ('happy',)


@pytest.mark.parametrize('mark', ['<', '<think', '</', '&lt;', '◁', '[', '<|', '<|channel|>', '<|channel|>final'])
def test_a_long_run_of_spaces_behind_a_mark_is_read_at_once(mark):
    # Each of 100,000 spaces against each other would take minutes.
    assert without_thinking(f'{mark}{" " * 100_000}<b>happy').text.endswith('<b>happy')


@given(st.text(alphabet='<>/thinkaswer◁▷[]|& ', max_size=80))
def test_no_text_makes_it_fail(text):
    without_thinking(text)
