"""A member that breaks one promise is refused, with the sentence on that promise."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest

from affekt.corpora import Corpus, Layout, Sample
from affekt.errors import ContractError, ShapeError
from affekt.features import Features, Recipe, Unable
from affekt.judging import DescribedPair, Verdict
from affekt.metrics import Metric
from affekt.testing import check_corpus, check_export, check_judge, check_metric, check_recipe

COUNT = [0]


def _right(recipe, manifest, rows):
    return [
        Unable(row.sample, 'no text') if row.text is None else recipe.features(row.sample, [len(row.text), 1.0])
        for row in rows
    ]


def _backwards(recipe, manifest, rows):
    return _right(recipe, manifest, rows)[::-1]


def _too_few(recipe, manifest, rows):
    return [each for each in _right(recipe, manifest, rows) if isinstance(each, Features)]


def _raises(recipe, manifest, rows):
    return [recipe.features(row.sample, [len(row.text), 1.0]) for row in rows]


def _doubles(recipe, manifest, rows):
    return [
        each if isinstance(each, Unable) else dataclasses.replace(each, values=each.values.astype(float))
        for each in _right(recipe, manifest, rows)
    ]


def _wide(recipe, manifest, rows):
    return [Unable(r.sample, 'no') if r.text is None else recipe.features(r.sample, [1.0, 2.0, 3.0]) for r in rows]


def _long(recipe, manifest, rows):
    return [Unable(r.sample, 'no') if r.text is None else recipe.features(r.sample, np.ones((2, 2))) for r in rows]


def _not_finite(recipe, manifest, rows):
    return [Unable(r.sample, 'no') if r.text is None else recipe.features(r.sample, [np.nan, 1.0]) for r in rows]


def _nameless(recipe, manifest, rows):
    return [
        each if isinstance(each, Unable) else dataclasses.replace(each, recipe='')
        for each in _right(recipe, manifest, rows)
    ]


def _counts(recipe, manifest, rows):
    COUNT[0] += 1
    return [Unable(r.sample, 'no') if r.text is None else recipe.features(r.sample, [COUNT[0], 1.0]) for r in rows]


def _of_the_batch(recipe, manifest, rows):
    texts = [len(row.text or '') for row in rows]
    return [
        Unable(row.sample, 'no') if row.text is None else recipe.features(row.sample, [len(row.text) - min(texts), 1.0])
        for row in rows
    ]


def _by_place(recipe, manifest, rows):
    return [
        Unable(row.sample, 'no') if row.text is None else recipe.features(row.sample, [len(row.text), float(at)])
        for at, row in enumerate(rows)
    ]


def _falling_times(recipe, manifest, rows):
    return [
        Unable(r.sample, 'no') if r.text is None else recipe.features(r.sample, np.ones((2, 2)), np.array([1.0, 0.0]))
        for r in rows
    ]


def _nothing(recipe, manifest, rows):
    return [Unable(row.sample, 'it is Sunday') for row in rows]


def _of_no_text(recipe, manifest, rows):
    return [recipe.features(row.sample, [len(row.text or ''), 1.0]) for row in rows]


def _open(encode, recipe):
    return partial(encode, recipe)


def _recipe(encode=_right, **changes):
    return dataclasses.replace(Recipe('made-up', 'text', 2, {'tool': 'test'}, partial(_open, encode)), **changes)


RECIPES = {
    'plain JSON': _recipe(facts={'when': object()}),
    'sent to another process': _recipe(open=lambda recipe: partial(_right, recipe)),
    'a dimension of made-up above 0': _recipe(dimension=0),
    '2 column names of made-up, or none': _recipe(columns=('one',)),
    'every column name of made-up once': _recipe(columns=('one', 'one')),
    'in their order': _recipe(_backwards),
    'say Unable for a sample without text': _recipe(_raises),
    'one outcome of made-up a sample': _recipe(_too_few),
    'Unable from made-up for a sample without text': _recipe(_of_no_text),
    'float32 from made-up': _recipe(_doubles),
    '2 columns from made-up': _recipe(_wide),
    'one row from made-up-utt': _recipe(_long, name='made-up-utt'),
    'finite values from made-up': _recipe(_not_finite),
    'the hash of made-up': _recipe(_nameless),
    'to the bit in a second run': _recipe(_counts),
    'made-up alone': _recipe(_of_the_batch),
    'made-up in another order': _recipe(_by_place),
    'times from made-up that rise': _recipe(_falling_times),
    'features of made-up for one sample': _recipe(_nothing),
}


@pytest.mark.parametrize('promise', RECIPES)
def test_a_broken_recipe_is_refused(promise):
    check_recipe(_recipe())
    with pytest.raises(ContractError) as raised:
        check_recipe(RECIPES[promise])
    assert promise in raised.value.expected


def test_a_name_that_is_none_breaks_the_contract_with_what_was_meant():
    with pytest.raises(ContractError, match="did you mean 'weighted_f1'"):
        check_metric('weighted_f')


def _share(truth, prediction):
    if len(truth) != len(prediction):
        raise ShapeError(expected='one length', came='two', todo='cut one')
    return float(np.mean(truth == prediction)) if len(truth) else float('nan')


def _share_of_first(truth, prediction):
    return _share(truth[:20], prediction[:20]) if len(truth) == len(prediction) else _share(truth, prediction)


def _sorts(truth, prediction):
    value = _share(truth, prediction)
    prediction.sort()
    return value


def _draws(truth, prediction):
    COUNT[0] += 1
    return _share(truth, prediction) / COUNT[0]


METRICS = {
    'a number from': Metric(lambda t, p: None, 'categories', (0, 1)),
    'from 0 to 1': Metric(lambda t, p: 100 * _share(t, p), 'categories', (0, 1)),
    'twice': Metric(_draws, 'categories', (0, 1)),
    'to stay as they are': Metric(_sorts, 'categories', (0, 1)),
    'does not depend on the order': Metric(_share_of_first, 'categories', (0, 1)),
    'better (more) than the truth': Metric(lambda t, p: 1 - _share(t, p), 'categories', (0, 1)),
    'a shuffled answer': Metric(lambda t, p: 0 * _share(t, p), 'categories', (0, 1)),
    'one sample': Metric(lambda t, p: _share(t, p) + 0 / (len(t) - 1), 'categories', (0, 1)),
    'nan from': Metric(lambda t, p: _share(t, p) if len(t) or len(p) else 0.0, 'categories', (0, 1)),
    'different lengths': Metric(lambda t, p: _share(t[: len(p)], p), 'categories', (0, 1)),
    'better (less) than the truth': Metric(lambda t, p: _share(t, p), 'categories', (0, 1), is_error=True),
}


@pytest.mark.parametrize('promise', METRICS)
def test_a_broken_metric_is_refused(promise):
    check_metric(Metric(_share, 'categories', (0, 1)))
    with pytest.raises(ContractError) as raised:
        check_metric(METRICS[promise])
    assert promise in raised.value.expected


class _Judge:
    """Prefers the longer text."""

    name = 'longer'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        left, right = len(pair.left_text), len(pair.right_text)
        return Verdict('tie' if left == right else 'left' if left > right else 'right', order)


class _Nameless(_Judge):
    name = ''


class _Words(_Judge):
    def verdict(self, pair, order):
        return Verdict('a1', order)


class _Forgets(_Judge):
    def verdict(self, pair, order):
        return Verdict('tie', 'left')


class _Falls(_Judge):
    def verdict(self, pair, order):
        return {}[pair.left_text]


class _Draws(_Judge):
    def verdict(self, pair, order):
        COUNT[0] += 1
        return Verdict(('left', 'right')[COUNT[0] % 2], order)


class _Left(_Judge):
    def verdict(self, pair, order):
        return Verdict('left', order)


class _Bare(_Judge):
    def verdict(self, pair, order):
        return 'left'


JUDGES = {
    'a name of one line': _Nameless,
    'one of left, right, tie, abstain': _Words,
    'the order that longer was asked in': _Forgets,
    "or one of affekt's errors": _Falls,
    'the same verdict of longer twice': _Draws,
    'the same text to win': _Left,
    'a Verdict from longer': _Bare,
}


@pytest.mark.parametrize('promise', JUDGES)
def test_a_broken_judge_is_refused(promise):
    check_judge(_Judge)
    check_judge(_Judge())
    with pytest.raises(ContractError) as raised:
        check_judge(JUDGES[promise])
    assert promise in raised.value.expected


def _rows(release, **changes):
    for name in ('a', 'b'):
        yield Sample(name, **{'text': f'say {name}', 'category': 'happy', **changes})


def _corpus(read=_rows, **changes):
    layout = Layout(('labels.csv',), read, '1')
    whole = Corpus('plays', 'Plays', 'en', (layout,), 'a theatre', 'nobody', categories=('happy', 'sad'))
    return dataclasses.replace(whole, **changes)


def _other_each_time(release):
    COUNT[0] += 1
    yield Sample(f'a{COUNT[0]}', text='x')


CORPORA = {
    'a name of small letters': _corpus(name='My Plays'),
    'where to get it': _corpus(source=''),
    'one layout of plays or more': _corpus(layouts=()),
    'files below the folder that tell': _corpus(layouts=(Layout((), _rows, '1'),)),
    'every category of plays once': _corpus(categories=('happy', 'happy')),
    'that rises': _corpus(ranges={'valence': (1.0, -1.0)}),
    'ranges of plays for': _corpus(ranges={'joy': (0.0, 1.0)}),
    'published numbers': _corpus(published={'train': 0}),
    'a manifest of plays from': _corpus(partial(_rows, category='cross')),
    'the same manifest of plays twice': _corpus(_other_each_time),
    'text, media or a label of some': _corpus(partial(_rows, text=None, category=None)),
    'media of plays below the folder': _corpus(partial(_rows, video='/elsewhere.mp4')),
    'the media that the manifest of plays names': _corpus(partial(_rows, video='gone.mp4')),
}


@pytest.mark.parametrize('promise', CORPORA)
def test_a_broken_corpus_is_refused(promise, tmp_path):
    (tmp_path / 'labels.csv').write_text('sample\n')
    check_corpus(_corpus(), tmp_path)
    with pytest.raises(ContractError) as raised:
        check_corpus(CORPORA[promise], tmp_path)
    assert promise in raised.value.expected


def _writes(analysis, out):
    out.write_text(analysis.source.name)


def _writes_beside(analysis, out):
    out.write_text('x')
    out.with_suffix('.more').write_text('x')


def _needs_labels(analysis, out):
    out.write_text(analysis.labels[0].word)


def _once(analysis, out):
    with open(out, 'x') as file:
        file.write('x')


EXPORTS = {
    'one file from': lambda analysis, out: None,
    'that is not empty': lambda analysis, out: out.touch(),
    '_writes_beside': _writes_beside,
    'in which nothing was found': _needs_labels,
    '_once to write': _once,
}


@pytest.mark.parametrize('promise', EXPORTS)
def test_a_broken_export_is_refused(promise):
    check_export(_writes)
    with pytest.raises(ContractError) as raised:
        check_export(EXPORTS[promise])
    assert promise in raised.value.expected
