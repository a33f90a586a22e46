from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from affekt.description import FAMILIES, LengthBatches, letters, tokenized, with_label_weights, written
from affekt.description.batches import length_of
from affekt.description.questions import Block, Kind
from affekt.errors import ValueRangeError

LENGTHS = tuple(np.random.default_rng(0).integers(5, 60, 203).tolist())


def test_each_example_is_once_in_an_epoch_and_epochs_differ():
    batches = LengthBatches(LENGTHS, batch_size=8, tokens=200)
    first, second = batches.epoch(0), batches.epoch(1)
    assert sorted(number for batch in first for number in batch) == list(range(203))
    assert sorted(number for batch in second for number in batch) == list(range(203))
    assert first != second


def test_a_batch_is_within_its_size_and_its_padded_tokens():
    for batch in LengthBatches(LENGTHS, batch_size=8, tokens=200).epoch(3):
        assert len(batch) <= 8
        assert len(batch) * max(LENGTHS[number] for number in batch) <= 200


def test_batches_of_like_length_are_padded_less_than_batches_at_random():
    batches = LengthBatches(LENGTHS, batch_size=8).epoch(0)
    order = np.random.default_rng(1).permutation(203).tolist()
    at_random = [order[at : at + 8] for at in range(0, 203, 8)]

    def padding(every):
        padded = sum(len(batch) * max(LENGTHS[number] for number in batch) for batch in every)
        return padded / sum(LENGTHS) - 1

    assert padding(batches) < padding(at_random) / 3


def test_batches_mix_all_lengths_where_they_are_not_sorted():
    lengths = (5, 30) * 128
    sorted_by_length, mixed = (LengthBatches(lengths, 16, spread=spread).epoch(0) for spread in (16, 1))
    assert all(len({lengths[number] for number in batch}) == 1 for batch in sorted_by_length)
    shares = [np.mean([lengths[number] == 5 for number in batch]) for batch in mixed]
    assert 0.15 < min(shares) < max(shares) < 0.85  # of 16 draws without order, 3 to 13 are of either length
    assert sorted(number for batch in mixed for number in batch) == list(range(256))


@pytest.mark.parametrize('ranks', [1, 2, 3])
def test_any_place_is_reached_and_processes_share_an_epoch(ranks):
    sides = [LengthBatches(LENGTHS, 8, 200, seed=4, rank=rank, ranks=ranks) for rank in range(ranks)]
    per_epoch = len(sides[0].epoch(0)) // ranks
    for side in sides:
        through = list(islice(side, 3 * per_epoch))
        for place in (0, 1, per_epoch, 2 * per_epoch - 1):
            assert list(islice(side.starting_at(place), 5)) == through[place : place + 5]
    first = [numbers for side in sides for _, numbers in islice(side, per_epoch)]
    assert len({number for batch in first for number in batch}) == sum(map(len, first))


@pytest.mark.parametrize(
    'changed',
    [
        {'batch_size': 0},
        {'spread': 0},
        {'tokens': 59 - 1},
        {'rank': 2, 'ranks': 2},
        {'batch_size': 21, 'tokens': None, 'ranks': 2},
    ],
)
def test_batches_that_cannot_be_are_refused(changed):
    with pytest.raises(ValueRangeError):
        LengthBatches(**{'lengths': (*LENGTHS[:20], 59), 'batch_size': 4, 'tokens': 200, **changed})


@pytest.mark.parametrize('family', ['chatml', 'vicuna-hash'])
def test_tokens_of_label_words_weigh_more_and_others_one(family):
    vocabulary, form = letters(), FAMILIES[family]
    answer = 'Sad and sadly Sad.'
    prompt = written(Kind(()), 'What?', form, present=(), words='Yes.')
    pieces = tokenized(prompt, vocabulary, {}, answer=answer)
    weighed = with_label_weights(pieces, answer, ['sad'], 3.0, vocabulary, form)
    # letters are tokens: 'Sad' at 0 and at 14; 'sadly' is another word, and what ends an answer weighs 1
    expected = [3.0] * 3 + [1.0] * 11 + [3.0] * 3 + [1.0]
    assert weighed.weights[: len(answer)] == tuple(expected)
    assert weighed.weights[len(answer) :] == (1.0,) * (len(pieces.answer) - len(answer))
    assert len(weighed.weights) == len(weighed.answer) > len(answer)


def _toy(kind, transcript, **settings):
    from tiny_describers import FELT, toy_describer

    from affekt.description import DescribeSettings, Example, ExampleBatches, Source

    sources = (Source('voice', len(FELT), tokens=40), Source('face', 3), Source('both', 4, joins=('voice', 'face')))
    describer = toy_describer(*sources)
    describer.settings = replace(describer.settings, longest_prompt=460)
    features = {'voice': np.ones((2, len(FELT)), np.float32), 'face': np.ones((2, 3), np.float32)}
    examples = [Example(f'{at}', features, transcript, 'What?', 'Sad.', ('sad',)) for at in range(12)]
    return ExampleBatches(describer, examples, kind, DescribeSettings(withheld=0.6, **settings))


def test_words_that_take_the_place_of_a_withheld_source_stay_within_the_tokens_of_a_batch():
    tokens = {'voice': 40, 'face': 1, 'both': 1}
    batches = _toy(Kind((Block('voice'), Block('face'))), 'word ' * 200, batch_size=8, batch_tokens=1859)
    sizes = set()
    for batch in islice(batches, 30):
        lengths = [length_of(asked.pieces, tokens) for asked in batch]
        sizes.add(len(batch))
        assert len(batch) * max(lengths) <= 1859
    assert max(sizes) == 3


@pytest.mark.parametrize('words', [True, False])
def test_what_is_withheld_never_empties_a_prompt(words):
    for kind in (Kind((Block('voice'),), words=words), Kind((Block('both'),), words=words)):
        asked = [each for batch in islice(_toy(kind, 'Well.', batch_size=4), 20) for each in batch]
        assert all(each.pieces.sources or each.pieces.has_words for each in asked)
        assert words is any(not each.pieces.sources for each in asked)


def test_weights_count_in_the_loss(describer):
    answer = 'Sad.'
    asked = describer.prompt({}, 'textonly', 'What?', words='Yes.', answer=answer)
    weighed = with_label_weights(asked.pieces, answer, ['sad'], 5.0, describer.vocabulary, describer.family)
    logits, labels = describer([asked]).logits[0, :-1].detach().log_softmax(-1), asked.pieces.answer
    losses = [-float(logits[at - len(labels), token]) for at, token in enumerate(labels)]
    weights = [5.0, 5.0, 5.0, 1.0, 1.0]
    expected = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    loss = float(describer([type(asked)(weighed, {})]).loss.detach())
    assert loss == pytest.approx(expected, abs=1e-5)


def test_another_answer_or_weight_is_refused():
    vocabulary, form = letters(), FAMILIES['chatml']
    pieces = tokenized(written(Kind(()), 'What?', form, present=(), words='Yes.'), vocabulary, {}, answer='Sad.')
    with pytest.raises(ValueRangeError, match='the answer of these pieces'):
        with_label_weights(pieces, 'Happy.', ['happy'], 3.0, vocabulary, form)
    with pytest.raises(ValueRangeError, match='above 0'):
        with_label_weights(pieces, 'Sad.', ['sad'], 0.0, vocabulary, form)
