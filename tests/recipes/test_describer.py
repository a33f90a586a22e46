"""What the small describer learns from, how its answers are scored, and that pages say what results do."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from affekt.corpora import Facts, Manifest, Sample

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / 'recipes' / 'describer'
NAMES = (
    'data', 'heads', 'features', 'readers', 'examples', 'evaluate', 'page', 'runs', 'certainty', 'tested', 'report',
    'likely',
)  # fmt: skip


@pytest.fixture(scope='module')
def recipe():
    """The recipe's files as modules, for these tests alone."""
    pytest.importorskip('torch')
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    path = list(sys.path)
    sys.path.insert(0, str(RECIPE))
    try:
        yield {name: __import__(name) for name in NAMES if name not in ('heads', 'features')}
    finally:
        sys.path[:] = path
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def clips(recipe, **columns):
    count = len(columns['truth'])
    plain = {
        'names': tuple(f'clip {n}' for n in range(count)), 'speaker': np.array(['01'] * count),
        'split': np.array(['train'] * count), 'sentiment': np.zeros(count, np.float32), 'without': 0,
    }  # fmt: skip
    return recipe['examples'].Clips(**{**plain, **columns})


def test_sources_together_show_each_word_once_and_neutral_only_alone(recipe):
    joined = recipe['examples'].joined
    assert joined(('angry',), ('neutral',), ('annoyed', 'angry')) == ('angry', 'annoyed')
    assert joined(('neutral',), ('neutral',)) == ('neutral',)
    assert joined(('calm',), ('neutral',)) == ('calm',)


def test_the_teacher_of_words_gives_labels_above_their_thresholds_or_the_nearest_one(recipe):
    readers, examples = recipe['readers'], recipe['examples']
    words = readers.words_of(examples.GOEMOTIONS)
    start = readers.Start(words, np.eye(28, dtype=np.float32), np.zeros(28, np.float32))
    features = np.full((2, 28), -1.0, np.float32)
    features[0, [2, 3]] = 0.5, 0.9
    features[1, 27] = -0.2
    assert examples.decided(start, features) == [('annoyed', 'angry'), ('neutral',)]


def test_the_head_of_text_names_what_its_calibrated_probability_puts_at_its_threshold_or_above(recipe):
    readers = recipe['readers']
    features = np.random.default_rng(0).normal(-1.0, 2.0, (40, 31)).astype(np.float32)
    arrays = readers.read_npz(readers.PACKAGED / 'textual_emotion.npz')
    probability = 1 / (1 + np.exp(-(features[:, :28] * arrays['slope'] + arrays['offset'])))
    named = readers.margins(readers.text_head(31), features) >= 0
    np.testing.assert_array_equal(named, probability >= arrays['thresholds'])
    assert 0 < named.mean() < 1


def test_the_limit_of_voices_is_chosen_by_all_clips_of_the_choosing_actors_and_tried_on_some_of_each_other(recipe):
    likely = recipe['likely']
    actors, strangers = (
        Manifest(Facts(name), [Sample(f'{who}-{n}', speaker=who) for who in people for n in range(20)])
        for name, people in (('ravdess', [f'{n:02}' for n in range(1, 25)]), ('nemo', ['A', 'B']))
    )
    # of three folds the second tests actors 9 to 16
    chosen, others = likely.familiar_clips(actors, strangers, 1)
    counts = Counter(row.speaker for row in chosen.samples)
    assert {who for who, count in counts.items() if count == 18} == {f'{n:02}' for n in range(9, 17)}
    assert [count for count in counts.values() if count != 18] == [20, 20]
    assert Counter(row.speaker for row in others.samples) == {'A': 16, 'B': 16}


def test_mixed_voices_lie_between_two_and_have_the_label_of_the_head(recipe):
    examples, readers = recipe['examples'], recipe['readers']
    start = readers.Start(('sad', 'happy'), np.array([[-1.0, 1.0]], np.float32), np.zeros(2, np.float32))
    voices = clips(
        recipe, truth=(('sad',), ('happy',)),
        sources={'voice': np.array([[-1.0], [1.0]], np.float32), 'prosody': np.array([[0.0], [10.0]], np.float32)},
    )  # fmt: skip
    for each in examples.of_mixed(voices, np.arange(2), 50, start, np.random.default_rng(0)):
        voice, prosody = float(each.sources['voice'][0]), float(each.sources['prosody'][0])
        assert prosody == pytest.approx(5 + 5 * voice, abs=1e-5)  # one share for all sources
        assert each.labels == (('happy',) if voice > 0 else ('sad',))
        assert abs(voice) < 0.41 or abs(voice) == 1


def comments(recipe, features):
    """Comments of 28 features, one a label of GoEmotions, whose head is the features themselves."""
    words = recipe['readers'].words_of(recipe['examples'].GOEMOTIONS)
    start = recipe['readers'].Start(words, np.eye(28, dtype=np.float32), np.zeros(28, np.float32))
    texts = clips(recipe, truth=((),) * len(features), sources={'sentence': np.array(features, np.float32)})
    return texts, start, words


def test_mixed_comments_lie_between_two_and_have_all_labels_that_the_head_gives_them(recipe):
    features = np.full((2, 28), -1.0, np.float32)
    features[0, 0], features[1, [0, 1]] = 1.0, (0.1, 3.0)
    texts, start, words = comments(recipe, features)
    mixed = recipe['examples'].of_mixed_texts(texts, np.arange(2), 60, start, np.random.default_rng(0))
    for each in mixed:
        first, second = each.sources['sentence'][:2].tolist()
        share = (second + 1) / 4  # of the second comment, whose second feature is 3 where that of the first is -1
        assert first == pytest.approx(1 - 0.9 * share, abs=1e-5)
        given = {words[0]} | ({words[1]} if second >= 0 else set())
        assert set(each.labels) == given
        assert each.answer == f' {", ".join(each.labels)},'
    assert {len(each.labels) for each in mixed} == {1, 2}


def test_comments_with_a_rare_label_come_sooner(recipe):
    features = np.full((200, 28), -1.0, np.float32)
    features[:, 0] = 1.0
    features[:8, [0, 5]] = (-1.0, 1.0)  # 8 of 200 have another label
    texts, start, _ = comments(recipe, features)
    places = [
        np.flatnonzero(recipe['examples'].rarest_first(texts, np.arange(200), start, np.random.default_rng(seed)) < 8)
        for seed in range(20)
    ]  # fmt: skip
    assert all(len(each) == 8 for each in places)
    assert np.mean(places) < 60  # 99.5 where all comments had the same chance


def test_certainty_is_that_of_the_likeliest_known_word_at_its_temperature(recipe):
    certainty = recipe['certainty']
    angry, sad = (certainty.WORDS.index(word) for word in ('angry', 'sad'))
    logits = np.full((4, len(certainty.WORDS)), -50.0)
    logits[:, angry], logits[:, sad] = np.log(9.0), 0.0
    truth = [('angry',), ('angry', 'calm'), ('angry',), ('sad',)]
    fitted = certainty.temperature(logits, truth)
    assert fitted == pytest.approx(2.0, abs=1e-3)  # 9 : 1 stated, 3 : 1 true, and ln 9 / ln 3 = 2
    scores = certainty.calibration(logits, [fitted] * 4, truth)
    assert scores['right']['value'] == 0.75
    assert scores['as it comes']['error']['value'] == pytest.approx(0.15, abs=1e-4)  # 0.9 stated, 0.75 true
    assert scores['at its temperature']['error']['value'] == pytest.approx(0.0, abs=1e-3)


def test_folds_keep_actors_apart_and_test_each_once(recipe):
    actors = np.array([f'{actor:02d}' for actor in range(1, 25)])
    voices = clips(recipe, truth=(('sad',),) * 24, speaker=actors, sources={})
    folds = recipe['runs'].folds(voices)
    assert sorted(n for fold in folds for n in fold.tested) == list(range(24))
    for fold in folds:
        parts = [set(part.tolist()) for part in (fold.learnt, fold.chosen_by, fold.tested)]
        assert [len(part) for part in parts] == [14, 2, 8]
        assert len(set.union(*parts)) == 24  # no actor in two of them
        assert len({n % 2 for n in fold.chosen_by}) == 2  # RAVDESS numbers men odd and women even


def test_an_answer_is_valid_where_it_ends_and_lists_known_words_once(recipe):
    from affekt.description import Generated

    said = [
        Generated('angry, sad,', (1,), 'end'), Generated('angry, angry,', (1,), 'end'),
        Generated('cross,', (1,), 'end'), Generated('sad,', (1,), 'length'), Generated('sad', (1,), 'end'),
    ]  # fmt: skip
    read = recipe['evaluate'].read(said, {'angry', 'sad'})
    assert read.valid.tolist() == [True, False, False, False, False]
    assert read.labels == (('angry', 'sad'), ('angry',), (), ('sad',), ('sad',))
    assert read.first == ['angry', 'angry', '', 'sad', 'sad']


def test_recall_is_a_mean_over_labels_and_a_difference_is_paired(recipe):
    evaluate, truth = recipe['evaluate'], ['sad', 'sad', 'sad', 'happy']
    named = ['sad', 'sad', '', 'sad']
    # 2 of 3 and 0 of 1
    assert evaluate.recall(truth, named)['value'] == pytest.approx(1 / 3, abs=1e-4)
    assert evaluate.difference(truth, truth, named)['value'] == pytest.approx(2 / 3, abs=1e-4)
    assert evaluate.difference(truth, named, named) == {'value': 0.0, 'low': 0.0, 'high': 0.0}


def test_pages_say_what_the_results_say(recipe):
    page, card = recipe['page'], json.loads((ROOT / 'affekt' / 'models' / 'describer.json').read_text())
    assert (ROOT / 'affekt' / 'models' / 'describer.md').read_text() == page.page(card)
    assert card['metrics'] == json.loads((RECIPE / 'results' / 'describer.json').read_text())
    text = (ROOT / 'docs' / 'describing.md').read_text()
    assert text == page.with_tables(text, card['metrics'])


def test_what_ships_is_small_and_notes_what_a_program_needs():
    from affekt.description import saved_notes

    folder = ROOT / 'affekt' / 'models' / 'describer'
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 30_000_000
    card, notes = json.loads(folder.with_suffix('.json').read_text()), saved_notes(folder)['notes']
    assert notes['reaches_targets'] == all(row['reached_by_interval'] for row in card['metrics']['targets'].values())
    assert set(notes['terciles']) == {'pitch', 'loudness', 'tempo', 'melody'}
    assert set(notes['certainty']) == {'voice', 'sentence'}  # first in prompts of speech, and of words alone
    assert set(notes['recipes']) == {'voice', 'prosody', 'face', 'sentence'}
