"""Errors say what was expected, what came, and what to do, also after a trip through another process."""

from __future__ import annotations

import inspect
import pickle

import pytest

from affekt import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.AffektError)]


@pytest.mark.parametrize('kind', KINDS)
def test_the_message_holds_all_three_parts_after_pickling(kind):
    error = pickle.loads(pickle.dumps(kind(expected='a cat', came='a dog', todo='look again')))
    assert type(error) is kind
    assert str(error) == 'expected a cat; got a dog; look again'


@pytest.mark.parametrize('kind', [kind for kind in KINDS if issubclass(kind, OSError)])
def test_the_reason_of_an_error_of_files_is_what_came_also_after_pickling(kind):
    error = pickle.loads(pickle.dumps(kind(expected='a file', came='the folder x', todo='name a file in it')))
    assert (error.strerror, error.errno) == ('the folder x', None)
    assert str(error) == 'expected a file; got the folder x; name a file in it'


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind is not errors.AffektError])
def test_every_error_refines_a_built_in_one(kind):
    assert any(base.__module__ == 'builtins' and base is not Exception for base in kind.__mro__[:-3])


def test_a_name_of_millions_of_characters_does_not_flood_the_terminal():
    error = errors.AffektError(
        expected='each name once', came=f"'{'x' * 3_000_000}' more than once", todo='keep one row'
    )
    assert len(str(error)) < 2500
    assert "got 'xxx" in str(error)
    assert '(3,000,017 characters)' in str(error)
    assert str(error).endswith("x' more than once; keep one row")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert len(error.args[0]) < 2500


def test_an_error_is_raised_as_the_class_that_was_promised_with_the_same_sentence():
    with pytest.raises(errors.TranscriptError, match='expected a cat; got a dog; look again') as caught:  # noqa: SIM117
        with errors.raised_as(errors.TranscriptError, errors.TableError):
            raise errors.TableError(expected='a cat', came='a dog', todo='look again')
    assert isinstance(caught.value.__cause__, errors.TableError)
    with pytest.raises(errors.RunError), errors.raised_as(errors.TranscriptError, errors.TableError):
        raise errors.RunError(expected='a cat', came='a dog', todo='look again')


def test_faults_stand_line_by_line_and_are_kept_when_an_error_is_sent_or_raised_anew():
    faults = errors.shown_faults([f'line {number}: bad' for number in range(23)])
    error = errors.TableError(expected='a table', came='23 faults', todo='correct them', faults=faults)
    assert str(error).splitlines()[0] == 'expected a table; got 23 faults:'
    assert str(error).splitlines()[1] == '  line 0: bad'
    assert str(error).splitlines()[-1] == '  and 3 more; correct them'
    assert pickle.loads(pickle.dumps(error)).faults == faults
    with pytest.raises(errors.CorpusError) as caught, errors.raised_as(errors.CorpusError, errors.TableError):
        raise error
    assert caught.value.faults == faults


def test_one_long_fault_does_not_flood_the_terminal():
    error = errors.TableError(expected='a table', came='a fault', todo='correct it', faults=('x' * 1_000_000,))
    assert len(str(error)) < 600


@pytest.mark.parametrize('sign', ['://', ':/'])
@pytest.mark.parametrize('password', ['secret', 'a@secret', '@secret@', 'a/secret', '/se@cret/secret', '1secret/'])
def test_no_error_repeats_the_password_of_an_address(sign, password):
    error = errors.LLMError(
        expected='a folder', came=f'http{sign}me:{password}@host/v1', todo=f'see rtsp{sign}you:{password}@h'
    )
    assert 'secret' not in str(error)
    assert f'http{sign}…@host/v1' in str(error)
    kept = 'https://registry.npmjs.org/@scope/name, http://host:80/@x, http://host: a@b and C:/a@b and me@host'
    assert errors.LLMError(expected='a', came=kept, todo='b').came == kept


def test_a_password_that_is_cut_out_of_a_long_error_is_not_repeated_in_part():
    came = f'http://me:{"secret" * 1000}@host/v1 {"x" * 3000}'
    error = errors.LLMError(expected='a folder', came=came, todo='check')
    assert 'secret' not in str(error)
    assert 'http://…@host/v1' in str(error)


@pytest.mark.parametrize(
    ('raw', 'worded'),
    [
        ("a/b: [Errno 2] No such file or directory: 'a/b'", 'a/b: No such file or directory'),
        ("[Errno 13] Permission denied: 'a b'", 'a b: Permission denied'),
        ("[Errno 18] Invalid cross-device link: 'a' -> 'c'", 'a: Invalid cross-device link'),
        ("cannot read: [Errno 2] No such file or directory: 'a'", 'cannot read: a: No such file or directory'),
        ('no connection ([Errno 111] Connection refused)', 'no connection (Connection refused)'),
        (
            'x: Cannot write. Detail: [errno 28] No space left on device',
            'x: Cannot write. Detail: No space left on device',
        ),
        ('a list [1, 2]: of numbers', 'a list [1, 2]: of numbers'),
    ],
)
def test_an_error_of_the_system_is_told_in_words_with_its_path_once(raw, worded):
    assert errors.AffektError(expected='a file', came=raw, todo='check it').came == worded
