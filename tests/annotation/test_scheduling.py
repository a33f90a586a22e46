"""What raters see: balanced orders, a floor, gold, a test that admits, nobody starved, nobody doubled in vain."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.annotation import Study, StudySettings
from affekt.annotation.raters import rater_figures
from affekt.annotation.scheduling import ADMITTED, REFUSED, first_side
from affekt.annotation.state import GOLD, TEST, WORK, State
from affekt.annotation.study import comparisons_of
from affekt.errors import ValueRangeError
from affekt.preference import DescribedPair
from affekt.ranking import count, fit, pair_gains


def _answer(study: Study, name: str, choose, limit: int = 1000) -> list:
    """All screens that a rater sees."""
    seen, screen = [], study.join(name)
    while screen.shown and len(seen) < limit:
        seen.append(screen)
        screen = study.vote(f'{name}-{len(seen):08}', name, screen.shown.id, choose(screen))
    return seen


def right(screen) -> str:
    return 'right' if screen.right_text.startswith('true') else 'left'


def wrong(screen) -> str:
    return 'left' if screen.right_text.startswith('true') else 'right'


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_rater_sees_each_pair_equally_often_either_way(chosen, seed):
    pairs = [('a', 'b'), ('b', 'a'), ('a', 'c'), ('c', 'a'), ('b', 'c'), ('c', 'b')]
    tasks = [DescribedPair(f'{number}', *pairs[pair], 'x', 'y') for number, pair in enumerate(chosen)]
    state = State(tasks, ())
    balance: Counter[tuple[str, str]] = Counter()
    for number, task in enumerate(tasks):
        side = first_side(state, state.rater('r'), task, seed)
        state.apply(
            {'kind': 'show', 'id': str(number), 'rater': 'r', 'task': task.key, 'first': side, 'phase': WORK, 'time': 0}
        )
        left_of_screen = task.left if side == 'left' else task.right
        balance[task.describers] += 1 if left_of_screen == task.describers[0] else -1
        assert all(abs(difference) <= 1 for difference in balance.values())


def test_two_raters_see_a_task_in_both_orders_where_nothing_else_decides():
    task = DescribedPair('clip', 'a', 'b', 'x', 'y')
    state = State([task], ())
    sides = []
    for number, name in enumerate(('ann', 'ben')):
        sides.append(first_side(state, state.rater(name), task, 0))
        shown = {'kind': 'show', 'id': f'{number}', 'rater': name, 'task': task.key, 'first': sides[-1]}
        state.apply({**shown, 'phase': WORK, 'time': 0})
    assert sorted(sides) == ['left', 'right']


def test_first_sights_are_left_as_often_as_right_over_many_raters():
    # 400 fair coins: outside 160 to 240 once in 15,000 seeds.
    task = DescribedPair('clip', 'a', 'b', 'x', 'y')
    sides = [first_side(State([task], ()), State([task], ()).rater(f'r{number}'), task, 0) for number in range(400)]
    assert 160 < sides.count('left') < 240


def test_a_rater_who_knows_enough_gold_is_admitted(open_study):
    study = open_study(with_gold=True, test_items=4, test_share=0.75)
    seen = _answer(study, 'ann', right)
    assert [screen.shown.phase for screen in seen[:4]] == [TEST] * 4
    assert all(screen.status == 'in the test' for screen in seen[:4])
    assert seen[4].status == ADMITTED
    assert seen[4].right == 4


def test_three_of_four_admit_and_two_of_four_do_not(open_study):
    study = open_study(with_gold=True, test_items=4, test_share=0.75)

    def answering(name: str, number_right: int):
        screen = study.join(name)
        for number in range(4):
            choice = right(screen) if number < number_right else wrong(screen)
            screen = study.vote(f'{name}-{number:08}', name, screen.shown.id, choice)
        return screen

    assert answering('ann', 3).status == ADMITTED
    refused = answering('ben', 2)
    assert (refused.status, refused.shown, refused.right, refused.can_undo) == (REFUSED, None, 2, False)


def test_a_skip_in_the_test_is_not_right(open_study):
    study = open_study(with_gold=True, test_items=4)
    assert study.join('ann').shown
    _answer(study, 'ann', lambda screen: 'skip', 4)
    assert study.screen('ann').status == REFUSED


def _test_of_unplayable_clips(study: Study, number_unplayed: int):
    screen = study.join('ann')
    for number in range(1000):
        if screen.status != 'in the test':
            return screen
        if number < number_unplayed:
            choice, measured = 'skip', {'watched': 0.0, 'seen': 'nothing', 'heard': 'sound'}
        else:
            choice, measured = right(screen), {'watched': 1.0, 'seen': 'video', 'heard': 'sound'}
        screen = study.vote(f'vote-{number:05}', 'ann', screen.shown.id, choice, **measured)
    raise AssertionError('the test never ends')


def test_a_test_item_that_the_browser_cannot_play_is_replaced_by_another(open_study):
    screen = _test_of_unplayable_clips(open_study(with_gold=True, test_items=4, test_share=1.0), 3)
    assert (screen.status, screen.right) == (ADMITTED, 4)
    assert 'could not play 3 clips of the test' in screen.message


def test_without_more_gold_what_cannot_be_played_is_left_out_of_the_share(open_study, gold):
    study = open_study(with_gold=True, test_items=len(gold), test_share=1.0)
    screen = _test_of_unplayable_clips(study, 2)
    assert (screen.status, screen.right) == (ADMITTED, len(gold) - 2)
    (figures,) = rater_figures(study.state.votes(), {'ann': ADMITTED}, study.state.tasks)
    assert (figures.test_right, figures.test_of, figures.test_unplayed) == (len(gold) - 2, len(gold) - 2, 2)


def test_who_could_play_no_clip_of_the_test_is_told_so_and_not_called_wrong(open_study, gold):
    screen = _test_of_unplayable_clips(open_study(with_gold=True, test_items=4), len(gold))
    assert (screen.status, screen.shown) == (REFUSED, None)
    assert 'This browser could not play any clip of the test' in screen.message


def test_skipping_what_was_seen_is_not_excused(open_study):
    study = open_study(with_gold=True, test_items=4)
    screen = study.join('ann')
    for number in range(4):
        screen = study.vote(f'vote-{number:05}', 'ann', screen.shown.id, 'skip', watched=0.1, seen='video')
    assert screen.status == REFUSED


def test_gold_comes_in_between_and_is_never_repeated(open_study):
    study = open_study(with_gold=True, test_items=3, gold_every=5)
    seen = _answer(study, 'ann', right)
    phases = [screen.shown.phase for screen in seen[3:]]
    # The 5th, 10th, … after the test; 5 gold items are left.
    assert [number for number, phase in enumerate(phases) if phase == GOLD] == [4, 9, 14, 19, 24]
    assert len({screen.shown.task for screen in seen}) == len(seen) == 36 + 8


def test_without_gold_there_is_no_test(open_study):
    assert open_study().join('ann').status == ADMITTED


def test_every_pair_reaches_the_floor_first(open_study):
    study = open_study(floor=3)
    _answer(study, 'ann', lambda screen: 'left', 9)
    assert sorted(study.state.pair_votes.values()) == [3, 3, 3]


def test_skips_do_not_count_for_the_floor(open_study):
    study = open_study(floor=2)
    _answer(study, 'ann', lambda screen: 'skip', 6)
    assert sum(study.state.pair_votes.values()) == 0


def test_beyond_the_floor_the_pair_that_teaches_most_is_asked(open_study):
    study = open_study(floor=2, overlap_every=0, spread_every=0)
    rng = np.random.default_rng(5)
    strengths = {'ash': 0.8, 'birch': 0.5, 'cedar': -1.0}
    seen, screen = [], study.join('ann')
    for number in range(20):
        if number >= 6:
            # A second reckoning: fit all votes so far with a prior; the best pair of which a task is left.
            fitted = fit(count(comparisons_of(study.state.votes(), study.state.tasks)), prior=1.0)
            left = {study.state.tasks[key].describers for key in study.state.asked if key not in seen}
            gains = {pair: gain for pair, gain in pair_gains(fitted).items() if pair in left}
            assert study.state.tasks[screen.shown.task].describers == max(gains, key=gains.get)
        seen.append(screen.shown.task)
        gap = strengths[screen.left_text.split()[0]] - strengths[screen.right_text.split()[0]]
        choice = 'left' if rng.random() < 1 / (1 + np.exp(-gap)) else 'right'
        screen = study.vote(f'ann-{number:08}', 'ann', screen.shown.id, choice)
    assert len(set(study.state.pair_votes.values())) > 1


def test_two_raters_at_once_never_have_the_same_clip_before_them(open_study):
    study = open_study(overlap_every=0)
    screens = {name: study.join(name) for name in ('ann', 'ben')}
    for number in range(15):
        for name in screens:
            assert len({screen.shown.task for screen in screens.values()}) == 2
            screens[name] = study.vote(f'{name}-{number:08}', name, screens[name].shown.id, 'left')
    assert max(study.state.task_votes.values()) == 1


def test_a_rater_is_not_starved_by_what_lies_before_others(open_study, tasks):
    study = open_study(asked=tasks[:1])
    first, second = study.join('ann'), study.join('ben')
    assert first.shown.task == second.shown.task
    assert first.shown.id != second.shown.id


def test_what_lay_before_somebody_who_left_is_asked_again(open_study, tasks, clock):
    study = open_study(asked=tasks[:2], lease_s=60.0)
    held = study.join('ann').shown.task
    screen = study.join('ben')
    assert screen.shown.task != held
    clock.now += 61.0
    assert study.vote('ben-00000001', 'ben', screen.shown.id, 'left').shown.task == held


def test_overlap_lets_agreement_be_measured(open_study):
    study = open_study(overlap_every=5)
    for name in ('ann', 'ben'):
        _answer(study, name, lambda screen: 'left', 15)
    assert sum(count > 1 for count in study.state.task_votes.values()) >= 2


def test_every_task_is_asked_once_of_everybody_in_the_end(open_study):
    study = open_study()
    for name in ('ann', 'ben'):
        assert len({screen.shown.task for screen in _answer(study, name, lambda screen: 'tie')}) == 36
    assert study.screen('ann').status == 'finished'


def test_the_same_seed_shows_the_same(open_study, tmp_path, tasks):
    first = [screen.shown.task for screen in _answer(open_study(seed=3), 'ann', lambda screen: 'left')]
    again = Study(tmp_path / 'again', tasks, (), StudySettings(seed=3))
    other = Study(tmp_path / 'other', tasks, (), StudySettings(seed=4))
    assert [screen.shown.task for screen in _answer(again, 'ann', lambda screen: 'left')] == first
    assert [screen.shown.task for screen in _answer(other, 'ann', lambda screen: 'left')] != first
    again.close()
    other.close()


@pytest.mark.parametrize('wrong', [{'test_items': -1}, {'test_share': 1.5}, {'lease_s': -1.0}, {'floor': -2}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueRangeError):
        StudySettings(**wrong)
