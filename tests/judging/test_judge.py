"""Judges behind one interface: both orders, combination, the four strategies, and judges without a language model."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_preferences import WordHashes, emoprefer_like

from affekt.errors import ComparisonError, LLMError, MissingExtraError, UnknownNameError, ValueRangeError
from affekt.judging import (
    AlwaysLeft,
    Coin,
    DescribedPair,
    FirstShown,
    LanguageModelJudge,
    LongerText,
    Panel,
    PreferenceJudge,
    RecordedJudge,
    Verdict,
    judge_pairs,
    reference_judge,
    report_on,
)
from affekt.llm import Endpoint, LocalModel, Reply, Request, probe
from affekt.preference import train_preferences
from affekt.ranking import Comparisons, read_comparisons

PAIR = DescribedPair('clip 1', 'a', 'b', 'She smiles.', 'He frowns at her.')


@dataclass
class Scripted:
    """Says what it was told to say in each order."""

    left_first: str | None
    right_first: str | None
    name: str = 'scripted'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict | None:
        said = self.left_first if order == 'left' else self.right_first
        return None if said is None else Verdict(said, order)


@pytest.mark.parametrize(
    ('left_first', 'right_first', 'outcome', 'is_consistent'),
    [
        ('left', 'left', 'left', True),
        ('right', 'right', 'right', True),
        ('tie', 'tie', 'tie', True),
        ('left', 'right', 'tie', False),  # the first one shown each time
        ('right', 'left', 'tie', False),
        ('left', 'tie', 'tie', False),
        ('left', 'abstain', 'abstain', None),
        ('abstain', 'abstain', 'abstain', None),
        ('left', None, 'left', None),  # people who saw one order
        (None, None, 'abstain', None),
    ],
)
def test_orders_that_disagree_are_a_tie_and_an_abstention_in_either_is_one(
    left_first, right_first, outcome, is_consistent
):
    (row,) = judge_pairs([PAIR], Scripted(left_first, right_first)).rows
    assert (row.outcome, row.is_consistent) == (outcome, is_consistent)


def test_exchanging_the_sides_of_a_pair_exchanges_the_outcome():
    mirrored = DescribedPair('clip 1', 'b', 'a', PAIR.right_text, PAIR.left_text)
    for judge in (LongerText(), FirstShown()):
        (one,), (two,) = judge_pairs([PAIR], judge).rows, judge_pairs([mirrored], judge).rows
        assert {'left': 'right', 'right': 'left', 'tie': 'tie'}[one.outcome] == two.outcome


def test_verdicts_come_in_the_order_of_the_pairs_however_many_are_asked_at_once():
    pairs = [DescribedPair(f's{number}', 'a', 'b', 'x' * number, 'x' * 10) for number in range(25)]
    told: list[float] = []
    alone = judge_pairs(pairs, LongerText())
    together = judge_pairs(
        pairs, LongerText(), at_once=8, progress=lambda stage, done, total: told.append(done / total)
    )
    assert alone == together
    assert told == [number / 25 for number in range(1, 26)]
    with pytest.raises(ValueRangeError):
        judge_pairs(pairs, LongerText(), at_once=0)


def test_one_fault_ends_the_run_and_no_further_pair_is_begun():
    begun = []

    class Failing(LongerText):
        def verdict(self, pair, order):
            begun.append(pair.sample)
            raise LLMError(expected='an answer', came='none', todo='wait')

    with pytest.raises(LLMError):
        judge_pairs([PAIR] * 50, Failing())
    assert len(begun) < 50


# Judges without a language model


def test_references_say_what_their_names_say():
    assert [AlwaysLeft().verdict(PAIR, order).outcome for order in ('left', 'right')] == ['left', 'left']
    assert [FirstShown().verdict(PAIR, order).outcome for order in ('left', 'right')] == ['left', 'right']
    assert [LongerText().verdict(PAIR, order).outcome for order in ('left', 'right')] == ['right', 'right']
    with pytest.raises(UnknownNameError, match='longer text'):
        reference_judge('style')


def test_a_coin_is_the_same_each_time_fair_and_another_for_another_seed():
    pairs = [DescribedPair(f's{number}', 'a', 'b', '', '') for number in range(400)]
    said = [Coin(1).verdict(pair, 'left').outcome for pair in pairs]
    assert said == [Coin(1).verdict(pair, 'left').outcome for pair in pairs]
    assert said != [Coin(2).verdict(pair, 'left').outcome for pair in pairs]
    assert 160 < said.count('left') < 240


def test_verdicts_of_people_are_given_for_the_order_that_they_saw_from_either_side(tmp_path):
    file = tmp_path / 'people.csv'
    file.write_text(
        'left,right,outcome,sample,rater,order\n'
        'a,b,left,clip 1,ann,right\na,b,right,clip 2,ann,0\na,b,right,clip 1,bob,left\n'
    )
    people = read_comparisons(file)
    ann = RecordedJudge(people, 'ann')
    assert ann.verdict(PAIR, 'left') is None
    assert ann.verdict(PAIR, 'right').outcome == 'left'
    mirrored = DescribedPair('clip 1', 'b', 'a', '', '')
    assert ann.verdict(mirrored, 'left').outcome == 'right'
    side_by_side = DescribedPair('clip 2', 'a', 'b', '', '')
    assert [ann.verdict(side_by_side, order).outcome for order in ('left', 'right')] == ['right', 'right']
    (row,) = judge_pairs([PAIR], RecordedJudge(people, 'bob')).rows
    assert (row.outcome, row.is_consistent) == ('right', None)
    with pytest.raises(ComparisonError, match='one rater'):
        RecordedJudge(people)
    with pytest.raises(UnknownNameError, match='ann'):
        RecordedJudge(people, 'cat')
    twice = Comparisons.of(['a', 'b'], ['b', 'a'], ['left', 'left'], sample=['s', 's'], first=[1, -1])
    with pytest.raises(ComparisonError, match='two on'):
        RecordedJudge(twice)
    with pytest.raises(ComparisonError, match='sample'):
        RecordedJudge(Comparisons.of(['a'], ['b'], ['left']))


def test_a_preference_model_is_asked_in_both_orders_and_held_to_probabilities():
    @dataclass
    class Model:
        chances_of: Callable[[str, str], list[float]]

        def predict_pairs(self, pairs):
            return SimpleNamespace(chances=np.array([self.chances_of(*pair) for pair in pairs]))

    longer = Model(lambda left, right: [0.4 * (len(left) > len(right)), 0.6, 0.4 * (len(left) < len(right))])
    (row,) = judge_pairs([PAIR], PreferenceJudge(longer)).rows
    assert (row.outcome, row.is_consistent) == ('right', True)
    (row,) = judge_pairs([PAIR], PreferenceJudge(longer, ties=True)).rows
    assert row.outcome == 'tie'
    for wrong in ([float('nan')] * 3, [0.5], [2.0, 0.0, 0.0]):
        with pytest.raises(ValueRangeError, match='clip 1'):
            PreferenceJudge(Model(lambda left, right, wrong=wrong: wrong)).verdict(PAIR, 'left')


def test_a_model_that_was_trained_here_is_a_judge_that_agrees_with_itself():
    model = train_preferences(emoprefer_like(120, 3), embedder=WordHashes())
    held = emoprefer_like(40, 4)
    pairs = [
        DescribedPair(f's{at}', 'x', 'y', left, right)
        for at, (left, right) in enumerate(zip(held.left, held.right, strict=True))
    ]
    rows = judge_pairs(pairs, PreferenceJudge(model)).rows
    assert all(row.is_consistent for row in rows)
    expected = model.predict_pairs([(pair.left_text, pair.right_text) for pair in pairs]).verdicts()
    assert [{'left': 1, 'right': -1, 'tie': 0}[row.outcome] for row in rows] == expected.tolist()


# Strategies


@dataclass
class NotingChat:
    """Answers from a list, and keeps what it was asked."""

    model: str
    answers: list[str]
    asked: list[Request] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, request: Request) -> Reply:
        with self._guard:
            self.asked.append(request)
            return Reply(self.answers[min(len(self.asked), len(self.answers)) - 1], self.model, 'stop')


@pytest.fixture
def picture(tmp_path):
    from affekt.media.synthetic import numbered_image
    from affekt.media.writing import write_image

    write_image(tmp_path / 'clip 1.jpg', numbered_image(7))
    return DescribedPair(PAIR.sample, 'a', 'b', PAIR.left_text, PAIR.right_text, tmp_path / 'clip 1.jpg')


def _kinds(request: Request) -> tuple[str, ...]:
    content = request.messages[-1]['content']
    return ('text',) if isinstance(content, str) else tuple(part['type'] for part in content)


def test_s1_asks_once_with_the_clip_and_both_texts(picture):
    seeing, reading = NotingChat('see', ['{"verdict": "a2"}']), NotingChat('read', [])
    verdict = LanguageModelJudge(Panel(seeing, reading), 's1').verdict(picture, 'right')
    assert (verdict.outcome, verdict.how, verdict.raw) == ('left', 'json', '{"verdict": "a2"}')
    assert [_kinds(request) for request in seeing.asked] == [('image_url', 'text')]
    assert reading.asked == []
    prompt = seeing.asked[0].messages[-1]['content'][-1]['text']
    assert '{"a1": "He frowns at her.", "a2": "She smiles."}' in prompt
    assert 'a, b' not in prompt


def test_a_clip_that_cannot_be_read_is_an_abstention_with_the_reason_and_other_pairs_go_on(picture, tmp_path):
    broken = dataclasses.replace(picture, sample='clip 2', media=tmp_path / 'broken.mp4')
    broken.media.write_bytes(bytes(600))
    judge = LanguageModelJudge(Panel(NotingChat('see', ['{"verdict": "a1"}'] * 2), NotingChat('read', [])), 's1')
    judged = judge_pairs([broken, picture], judge)
    assert [row.outcome for row in judged.rows] == ['abstain', 'tie']
    assert judged.rows[0].left_first.how == 'unreadable clip'
    report = report_on(judged, rng=np.random.default_rng(0), resamples=10)
    assert list(report.unanswered) == ['clip 2, a and b']
    assert 'broken.mp4' in report.unanswered['clip 2, a and b']


def test_s2_describes_first_then_judges_with_clip_and_description(picture):
    seeing, reading = NotingChat('see', ['A wide smile.', '{"verdict": "a1"}']), NotingChat('read', [])
    judge = LanguageModelJudge(Panel(seeing, reading), 's2')
    verdict = judge.verdict(picture, 'left')
    assert (verdict.outcome, [answer.step for answer in verdict.answers]) == ('left', ['describe', 'judge'])
    assert [_kinds(request) for request in seeing.asked] == [('image_url', 'text')] * 2
    assert '"clip": "A wide smile."' in seeing.asked[1].messages[-1]['content'][-1]['text']
    assert (judge.name, reading.asked) == ('see s2', [])


def test_s3_lets_a_model_that_reads_judge_from_the_description(picture):
    seeing, reading = NotingChat('see', ['A wide smile.']), NotingChat('read', ['{"verdict": "same"}'])
    judge = LanguageModelJudge(Panel(seeing, reading), 's3')
    assert judge.verdict(picture, 'left').outcome == 'tie'
    assert [_kinds(request) for request in (*seeing.asked, *reading.asked)] == [('image_url', 'text'), ('text',)]
    assert judge.name == 'see+read s3'


def test_s4_lets_it_argue_and_then_extracts_from_the_argument_alone(picture):
    seeing = NotingChat('see', ['A wide smile.'])
    reading = NotingChat('read', ['a1 fits the smile.', '{"verdict": "a1"}'])
    verdict = LanguageModelJudge(Panel(seeing, reading), 's4').verdict(picture, 'right')
    assert [answer.step for answer in verdict.answers] == ['describe', 'argue', 'extract']
    assert verdict.outcome == 'right'
    extraction = reading.asked[1].messages[-1]['content']
    assert '"argument": "a1 fits the smile."' in extraction
    assert 'She smiles.' not in extraction


def test_a_schema_is_asked_for_with_verdicts_alone_and_can_be_left_out(picture):
    for uses_schema in (True, False):
        chat = NotingChat('see', ['A wide smile.', 'Because.', '{"verdict": "a1"}'])
        LanguageModelJudge(Panel(chat, chat, uses_schema=uses_schema), 's4').verdict(picture, 'left')
        wanted = [request.response_format is not None for request in chat.asked]
        assert wanted == [False, False, uses_schema]
        assert {(request.temperature, request.seed) for request in chat.asked} == {(0.0, 0)}


def test_what_cannot_be_judged_is_refused_before_anything_is_asked():
    chat = NotingChat('see', [])
    with pytest.raises(UnknownNameError, match='s1, s2, s3, s4'):
        LanguageModelJudge(Panel(chat, chat), 's5')
    with pytest.raises(ValueRangeError, match='--media'):
        LanguageModelJudge(Panel(chat, chat), 's2').verdict(PAIR, 'left')
    assert chat.asked == []


def test_an_answer_without_a_verdict_is_an_abstention_that_keeps_its_words():
    chat = NotingChat('see', ['I cannot judge people.'])
    verdict = LanguageModelJudge(Panel(chat, chat)).verdict(PAIR, 'left')
    assert (verdict.outcome, verdict.how, verdict.raw) == ('abstain', 'unread', 'I cannot judge people.')


# A real model


def test_a_real_model_on_a_real_server_answers_in_both_orders_and_is_asked_once(real_server, tmp_path):
    from affekt.llm import NobodyToAsk, RememberingChat, ReplayCache

    with ReplayCache(tmp_path) as cache:
        chat = RememberingChat(Endpoint(real_server, 'smollm2'), cache)
        (row,) = judge_pairs([PAIR], LanguageModelJudge(Panel(chat, chat))).rows
        assert [verdict.how for verdict in row.verdicts] == ['json', 'json']
        assert {json.loads(verdict.raw)['verdict'] for verdict in row.verdicts} <= {'a1', 'a2', 'same', 'unsure'}
        assert all(verdict.answers[0].reply.usage['completion_tokens'] > 0 for verdict in row.verdicts)
        assert all(verdict.answers[0].reply.seconds > 0.0 for verdict in row.verdicts)
        assert chat.asked == 2
        replayed = RememberingChat(NobodyToAsk('smollm2', tmp_path), cache)
        assert judge_pairs([PAIR], LanguageModelJudge(Panel(replayed, replayed))).rows == (row,)
        with pytest.raises(LLMError, match='all answers of smollm2'):
            LanguageModelJudge(Panel(replayed, replayed, uses_schema=False)).verdict(PAIR, 'left')


def test_a_real_server_of_a_text_model_does_not_pass_for_one_that_sees_and_hears(real_server):
    results = probe(Endpoint(real_server, 'smollm2', server='llama.cpp', attempts=1), ['image', 'audio'])
    assert {each.state for each in results} <= {'dropped', 'refused'}


def test_a_model_in_this_process_answers_or_says_what_to_install(small_model):
    model = LocalModel(small_model, threads=1)
    question = Request(({'role': 'user', 'content': 'Name a colour.'},), 'test-1', max_tokens=8)
    if importlib.util.find_spec('torch') is None or importlib.util.find_spec('transformers') is None:
        with pytest.raises(MissingExtraError, match=r'affekt\[llm\]'):
            model.ask(question)
        return
    if any(importlib.util.find_spec(name) is None for name in ('gguf', 'accelerate')):
        with pytest.raises(LLMError, match='needs the package'):
            model.ask(question)
        return
    reply = model.ask(question)
    assert reply == model.ask(question)
    assert reply.usage['completion_tokens'] == 8
    assert (reply.finish, reply.is_cut) == ('length', True)


def test_a_model_in_this_process_reads_only_text(tmp_path):
    (tmp_path / 'model').mkdir()
    picture = Request(({'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': 'data:'}}]},), 'test-1')
    with pytest.raises(LLMError, match='image_url'):
        LocalModel(tmp_path / 'model').ask(picture)
    with pytest.raises(LLMError, match='--local'):
        LocalModel(tmp_path / 'nowhere')


def test_kappa_has_no_interval_beyond_one(rng):
    # Of five pairs three agree: (3/5 - 13/25) / (1 - 13/25) = 1/6, and a symmetric interval would reach beyond 1.
    people, said = ['left', 'left', 'right', 'right', 'left'], ['left', 'left', 'right', 'left', 'right']
    pairs = [dataclasses.replace(PAIR, sample=f'clip {number}') for number in range(5)]
    verdicts = dict(zip([pair.sample for pair in pairs], said, strict=True))
    judge = SimpleNamespace(name='told', verdict=lambda pair, order: Verdict(verdicts[pair.sample], order))
    kappa = report_on(judge_pairs(pairs, judge), people, rng=rng).agreement[0].kappa
    assert kappa.value == pytest.approx(1 / 6, abs=1e-12)
    assert -1.0 <= kappa.low < kappa.high <= 1.0
