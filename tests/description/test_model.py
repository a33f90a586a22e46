from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_describers import KIND, SOURCES
from torch.nn import functional

from affekt.description import (
    AS_PUBLISHED,
    Adapters,
    Asked,
    Describer,
    DescriberSettings,
    Limits,
    Pieces,
    Queries,
    Source,
    answer_loss,
    answering,
    tiny_trunk,
    with_adapters,
)
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

SHORT = Limits(tokens=12)


@pytest.fixture(scope='module')
def alone(describer, clips):
    return [describer.generate([clip], SHORT)[0] for clip in clips]


def test_clips_of_a_batch_differ_in_what_they_have(clips):
    assert len({clip.pieces.sources for clip in clips}) >= 12
    assert any('multi' in clip.pieces.sources for clip in clips)
    assert any(clip.pieces.sources == () for clip in clips)


@pytest.mark.parametrize('size', [2, 7, 16])
def test_a_clip_gets_the_same_answer_whatever_stands_beside_it(describer, clips, alone, size):
    answers = [answer for at in range(0, 16, size) for answer in describer.generate(clips[at : at + size], SHORT)]
    assert answers == alone
    assert len({answer.tokens for answer in alone}) > 8


@pytest.mark.parametrize('sizes', [{}, {'use_sliding_window': True, 'sliding_window': 16, 'max_window_layers': 0}])
@pytest.mark.parametrize('family', ['chatml', 'bare'])
def test_so_it_does_whatever_prompts_begin_with_and_however_the_trunk_remembers(clips, monkeypatch, family, sizes):
    # bare prompts begin with soft tokens, so that nothing is shared; of a sliding window transformers keeps the cache
    monkeypatch.setattr(answering, 'ROOM', 3)  # it grows several times
    monkeypatch.setattr(answering, 'MOST_POSITIONS', 150)
    trunk = tiny_trunk('qwen2', seed=3, **sizes)
    describer = Describer(trunk, SOURCES, DescriberSettings(family)).eval()
    with torch.no_grad():
        for parameter in describer.parameters():
            if parameter.ndim > 1:
                parameter.add_(0.15 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    kind = replace(KIND, bare=family == 'bare')
    prompts = [
        describer.prompt(clip.features, kind, 'What?', words='Hm.' * (at % 7))
        for at, clip in enumerate(clips)
        if clip.features
    ]
    single = [describer.generate([prompt], SHORT)[0] for prompt in prompts]
    assert describer.generate(prompts, SHORT) == single
    stop = single[2].text[1:2]
    assert describer.generate(prompts, replace(SHORT, stops=(stop,))) == [
        describer.generate([prompt], replace(SHORT, stops=(stop,)))[0] for prompt in prompts
    ]


def test_draws_are_those_of_the_seed_whatever_stands_beside_a_clip(describer, clips):
    limits = Limits(tokens=8, temperature=1.5, top_p=0.9, seed=4)
    together = describer.generate(clips[:5], limits)
    assert [describer.generate([clip], limits)[0] for clip in clips[:5]] == together
    assert describer.generate(clips[:5], replace(limits, seed=5)) != together
    assert describer.generate(clips[:1] * 2, limits, seeds=[4, 6])[0] == together[0]


def test_logits_are_the_same_beside_others(describer, clips):
    batch = [Asked(replace(clip.pieces, answer=(70, 71, 257)), clip.features) for clip in clips]
    with torch.no_grad():
        together = describer(batch)
        for row, clip in enumerate(batch):
            single = describer([clip]).logits[0]
            torch.testing.assert_close(together.logits[row, : len(single)], single, atol=1e-4, rtol=0)


def test_logits_before_tokens_of_answers_alone_give_the_same_loss_and_gradients(clips):
    describer = Describer(with_adapters(tiny_trunk(), Adapters(rank=2)), SOURCES)
    batch = [
        Asked(replace(clip.pieces, answer=(70, *[71] * at, 257), weights=(3.0, *[1.0] * (at + 1))), clip.features)
        for at, clip in enumerate(clips[:4])
    ]
    losses, gradients = [], []
    for is_whole in (True, False):
        describer.zero_grad()
        answered = describer.eval()(batch, is_whole=is_whole)
        answered.loss.backward()
        losses.append(answered.loss.item())
        gradients.append({name: each.grad for name, each in describer.named_parameters() if each.grad is not None})
    places = (answered.embedded.labels[:, 1:] != -100).any(dim=0)
    assert answered.logits.shape[1] == int(places.sum()) < answered.embedded.labels.shape[1] / 2
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-5)


def test_generation_agrees_with_the_logits_of_the_whole_text(describer, clips):
    answer = describer.generate([clips[2]], SHORT)[0]
    with torch.no_grad():
        logits = describer([Asked(replace(clips[2].pieces, answer=answer.tokens), clips[2].features)]).logits[0]
    assert tuple(logits[-len(answer.tokens) - 1 : -1].argmax(1).tolist()) == answer.tokens


def test_stops_end_each_clip_of_a_batch_by_itself(describer, clips, alone):
    stop = alone[3].text[2:4]
    assert stop.strip()
    answers = describer.generate(clips[:6], replace(SHORT, stops=(stop,)))
    assert answers[3].finish == 'stop'
    assert answers[3].text == alone[3].text[:2].strip()
    for answer, whole in zip(answers, alone, strict=False):
        assert whole.text.split(stop)[0].strip() == answer.text


def test_an_answer_that_is_cut_says_so(describer, clips):
    answer = describer.generate([clips[0]], Limits(tokens=1))[0]
    assert (answer.finish, len(answer.tokens)) in {('length', 1), ('end', 1)}


def test_generation_leaves_training_mode_as_it_was(describer, clips):
    describer.train()
    describer.generate(clips[:1], Limits(tokens=1))
    assert describer.training
    describer.eval()


def test_a_prompt_and_answer_longer_than_the_trunk_are_refused(describer, clips):
    with pytest.raises(ValueRangeError, match='4,096 tokens together'):
        describer.generate(clips[:1], Limits(tokens=4096))


# Gradients


@pytest.fixture(scope='module')
def learner():
    return Describer(with_adapters(tiny_trunk(), Adapters(rank=2, dropout=0.0)), SOURCES)


def _features(*names):
    generator = torch.Generator().manual_seed(1)
    widths = {source.name: source.width for source in SOURCES}
    return {name: torch.randn(2, widths[name], generator=generator) for name in names}


def _reach(learner, *names):
    """Readers that get gradient from a clip with these features."""
    learner.zero_grad(set_to_none=True)
    learner([learner.prompt(_features(*names), KIND, 'What?', answer='Sad.')]).loss.backward()
    return {
        name
        for name, reader in learner.readers.items()
        if any(weight.grad is not None and bool(weight.grad.any()) for weight in reader.parameters())
    }


def test_every_source_of_a_clip_learns(learner):
    assert _reach(learner, 'voice', 'face', 'frame', 'pose') == {'voice', 'face', 'multi', 'pose'}
    for name, weight in learner.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name


@pytest.mark.parametrize(
    ('names', 'reached'),
    [
        (('voice',), {'voice'}),
        (('face',), {'face'}),
        (('frame',), {'face'}),
        (('pose', 'voice'), {'pose', 'voice'}),
        (('face', 'voice'), {'face', 'voice', 'multi'}),
    ],
)
def test_a_missing_source_learns_nothing_and_is_not_in_the_prompt(learner, names, reached):
    assert _reach(learner, *names) == reached
    prompt = learner.prompt(_features(*names), KIND, 'What?')
    assert set(prompt.pieces.sources) == set(names) | ({'multi'} if {'face', 'voice'} <= set(names) else set())


def test_only_adapters_of_the_trunk_are_trained(learner):
    trained = {name for name, weight in learner.named_parameters() if weight.requires_grad}
    assert all('.lora_' in name or name.startswith('readers.') for name in trained)
    assert trained <= set(learner.learnt())


def test_the_loss_is_on_answers_alone_their_end_included(learner):
    asked = learner.prompt(_features('voice'), KIND, 'What?', answer='Sad.')
    labels = learner.embed([asked]).labels[0]
    assert labels[labels != -100].tolist() == [*learner.vocabulary.numbers('Sad.'), learner.vocabulary.end]


def test_the_loss_is_the_weighted_mean_of_each_tokens_cross_entropy():
    logits = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[-100, -100, 3, 5], [-100, 6, 2, -100]])
    weights = torch.tensor([[0.0, 0.0, 1.0, 3.0], [0.0, 1.0, 1.0, 0.0]])
    each = [functional.cross_entropy(logits[b, t - 1], labels[b, t]) for b, t in ((0, 2), (0, 3), (1, 1), (1, 2))]
    expected = (each[0] + 3 * each[1] + each[2] + each[3]) / 6
    torch.testing.assert_close(answer_loss(logits, labels, weights), expected)
    assert math.isnan(answer_loss(logits, torch.full((2, 4), -100), torch.zeros(2, 4)))


def test_the_end_of_an_answer_is_read_unless_as_published():
    trunk = tiny_trunk()
    for settings, is_read in ((DescriberSettings(), True), (AS_PUBLISHED, False)):
        describer = Describer(trunk, SOURCES[:1], settings)
        asked = describer.prompt(_features('voice'), 'audioonly', 'What?', answer='Sad.')
        embedded = describer.embed([asked])
        assert bool(embedded.keep_mask[0, -1]) is is_read
        assert embedded.labels[0, -1] == describer.vocabulary.end


# Long prompts


def test_a_transcript_of_twenty_thousand_words_is_shortened_and_no_soft_token_is_lost(describer):
    words = ' '.join(f'word{number}' for number in range(20_000))
    asked = describer.prompt(_features('voice', 'face'), KIND, 'What?', words=words)
    assert asked.pieces.sources == ('multi', 'voice', 'face')
    length = sum(len(piece) if isinstance(piece, tuple) else 0 for piece in asked.pieces.prompt) + 1 + 2 + 1
    assert describer.settings.longest_prompt - 10 < length <= describer.settings.longest_prompt
    text = describer.vocabulary.text(
        [token for piece in asked.pieces.prompt if isinstance(piece, tuple) for token in piece]
    )
    assert 'word0 word1 ' in text
    assert 'What?' in text
    kept = text.split('<Subtitle>')[1].split('</Subtitle>')[0]
    assert words.startswith(kept)
    assert asked.pieces.cut == len(words) - len(kept)


def test_the_published_cut_takes_the_front_and_with_it_the_soft_tokens():
    settings = replace(AS_PUBLISHED, longest_prompt=100)
    describer = Describer(tiny_trunk(), SOURCES[:1], settings)
    asked = describer.prompt(_features('voice'), 'audio_text', 'What?', words='so ' * 200)
    embedded = describer.embed([asked], 'left')
    assert embedded.embeddings.shape[1] == 100
    whole = Describer(tiny_trunk(), SOURCES[:1], replace(AS_PUBLISHED, longest_prompt=100_000))
    torch.testing.assert_close(embedded.embeddings, whole.embed([asked], 'left').embeddings[:, -100:])


# Features that cannot be


@pytest.mark.parametrize(
    ('features', 'error', 'match'),
    [
        ({'voice': torch.ones(2, 5)}, ShapeError, r'voice of width 6.*\(2, 5\)'),
        ({'voice': torch.ones(0, 6)}, ShapeError, 'width 6'),
        ({'voice': torch.full((2, 6), torch.nan)}, ValueRangeError, 'nan or infinity'),
        ({'pose': torch.ones(3, 3)}, ShapeError, '2 vectors of pose in each clip.*got 3; give as many'),
    ],
)
def test_features_that_cannot_be_are_refused_where_the_prompt_is_made(describer, features, error, match):
    with pytest.raises(error, match=match):
        describer.prompt(features, KIND, 'What?')


@pytest.mark.parametrize(
    ('values', 'error', 'match'),
    [
        ({'fusion': 'steps', 'tokens': 0}, ValueRangeError, '1 soft token or more for the source pose; got 0; change'),
        ({'fusion': 'steps', 'joins': ('face', 'voice')}, ValueRangeError, 'a fusion that pools'),
        ({'fusion': 'qformer'}, ValueRangeError, 'the sizes of a Q-Former'),
        ({'fusion': 'soft'}, UnknownNameError, 'softmax'),
        ({'dropout': 1.0}, ValueRangeError, r'a dropout in \[0, 1\)'),
    ],
)
def test_a_row_that_cannot_be_is_refused_where_it_is_written(values, error, match):
    with pytest.raises(error, match=match):
        Source('pose', 3, **values)


def test_a_single_vector_is_repeated_whatever_the_other_clips_of_a_batch_have(describer):
    alone, many = (describer.prompt({'pose': torch.ones(count, 3)}, KIND, 'What?') for count in (1, 2))
    first, _ = describer.soft_tokens([alone, many])
    torch.testing.assert_close(first['pose'], describer.soft_tokens([alone])[0]['pose'])
    torch.testing.assert_close(first['pose'][0], first['pose'][1])


def test_of_more_steps_than_a_qformer_has_positions_as_many_are_read_evenly():
    queries = Queries(12, 3, 16, 2, positions=4)
    describer = Describer(tiny_trunk(), [Source('face', 3, tokens=2, fusion='qformer', queries=queries)]).eval()
    steps = torch.arange(30.0).reshape(10, 3)
    asked = [describer.prompt({'face': each}, 'faceonly', 'What?') for each in (steps, steps[[0, 3, 6, 9]])]
    whole, chosen = describer.soft_tokens(asked)
    torch.testing.assert_close(whole['face'], chosen['face'])


def test_a_prompt_whose_features_are_not_there_is_refused(describer):
    with pytest.raises(ShapeError, match='features of voice'):
        describer.soft_tokens([Asked(Pieces(('voice',)))])


def test_features_of_an_unknown_source_are_refused(describer):
    with pytest.raises(UnknownNameError, match='voices'):
        describer.prompt({'voices': torch.ones(1, 6)}, KIND, 'What?')


def test_a_clip_of_which_nothing_is_known_is_refused(describer):
    with pytest.raises(ValueRangeError, match='none of them'):
        describer.prompt({}, KIND, 'What?', words='  \n ')


def test_standardised_features_are_brought_to_the_measures_of_training_clips():
    describer = Describer(tiny_trunk(), [Source('voice', 3, fusion='mean', standardised=True)])
    reader = describer.reader('voice')
    reader.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    reader.deviation.copy_(torch.tensor([1.0, 2.0, 4.0]))
    fused = reader.fused([torch.tensor([[[2.0, 4.0, 7.0], [2.0, 4.0, 7.0]]])], [None])
    torch.testing.assert_close(fused, torch.ones(1, 3))
    assert {'readers.voice.mean', 'readers.voice.deviation'} <= set(describer.learnt())


def test_scaled_tokens_have_the_size_of_the_trunks_own():
    trunk = tiny_trunk()
    describer = Describer(trunk, [Source('voice', 6, scaled=True)])
    tokens = describer.soft_tokens([describer.prompt(_features('voice'), 'audioonly', 'What?')])[0]['voice']
    size = trunk.embeddings.weight.square().mean().sqrt()
    torch.testing.assert_close(tokens.square().mean().sqrt(), size, rtol=1e-2, atol=0)
