"""The memory of answers: each question once, across threads, damage and kills."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from affekt.errors import LLMError, StorageError
from affekt.llm import RememberingChat, ReplayCache, Reply, Request


def question(text: str, **more) -> Request:
    return Request(({'role': 'user', 'content': text},), 'test-1', **more)


@dataclass
class CountingChat:
    """Answers with the question in capitals, and remembers what it was asked."""

    model: str = 'tiny'
    asked: list[str] = field(default_factory=list)
    fails: bool = False

    def ask(self, request: Request) -> Reply:
        self.asked.append(request.messages[0]['content'])
        if self.fails:
            raise LLMError(expected='an answer', came='none', todo='wait')
        return Reply(str(request.messages[0]['content']).upper(), 'tiny-1', 'stop', {'total_tokens': 1})


def test_a_question_is_asked_once_and_its_whole_answer_comes_back_in_the_next_process(tmp_path):
    chat = CountingChat()
    for _ in range(3):
        with ReplayCache(tmp_path) as cache:
            replies = [RememberingChat(chat, cache).ask(question(text)) for text in 'aba']
            assert replies[0] == Reply('A', 'tiny-1', 'stop', {'total_tokens': 1})
            assert len(cache) == 2
    assert chat.asked == ['a', 'b']


def test_another_model_or_prompt_is_another_question_and_another_server_is_not(tmp_path):
    with ReplayCache(tmp_path) as cache:
        for model in ('tiny', 'large', 'tiny'):
            chat = CountingChat(model)
            RememberingChat(chat, cache).ask(question('a'))
        assert chat.asked == []
        assert len(cache) == 2


def test_an_error_is_not_remembered(tmp_path):
    with ReplayCache(tmp_path) as cache:
        chat = CountingChat(fails=True)
        with pytest.raises(LLMError):
            RememberingChat(chat, cache).ask(question('a'))
        chat.fails = False
        assert RememberingChat(chat, cache).ask(question('a')).text == 'A'


def test_equal_questions_at_the_same_time_wait_for_one_answer(tmp_path):
    begun = threading.Barrier(8)
    with ReplayCache(tmp_path) as cache, ThreadPoolExecutor(8) as pool:
        chat = CountingChat()
        remembering = RememberingChat(chat, cache)

        def ask(number: int) -> str:
            begun.wait()
            return remembering.ask(question(f'q{number % 2}')).text

        assert sorted(pool.map(ask, range(8))) == ['Q0'] * 4 + ['Q1'] * 4
    assert sorted(chat.asked) == ['q0', 'q1']


@pytest.mark.parametrize('kept', range(0, 101, 10))
def test_a_journal_cut_anywhere_loses_the_cut_line_alone(tmp_path, kept):
    chat = CountingChat()
    with ReplayCache(tmp_path) as cache:
        for text in 'abc':
            RememberingChat(chat, cache).ask(question(text))
    journal = tmp_path / 'journal.jsonl'
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    cut = len(b''.join(lines[:2])) + len(lines[2]) * kept // 100
    journal.write_bytes(whole[:cut])
    with ReplayCache(tmp_path) as cache:
        replies = [RememberingChat(chat, cache).ask(question(text)).text for text in 'abcd']
    assert replies == ['A', 'B', 'C', 'D']
    assert chat.asked == [*'abc', *([] if kept == 100 else ['c']), 'd']
    with ReplayCache(tmp_path) as cache:
        assert len(cache) == 4
        assert [RememberingChat(chat, cache).ask(question(text)).text for text in 'abcd'] == replies
    assert chat.asked.count('d') == 1


@pytest.mark.parametrize('damage', ['missing', 'nonsense', 'empty', 'of another journal', 'behind'])
def test_an_index_that_is_lost_damaged_or_wrong_is_made_again_from_the_journal(tmp_path, damage):
    chat = CountingChat()
    with ReplayCache(tmp_path / 'one') as cache:
        for text in 'abc':
            RememberingChat(chat, cache).ask(question(text))
    index = tmp_path / 'one' / 'index.sqlite'
    if damage == 'missing':
        index.unlink()
    elif damage == 'nonsense':
        index.write_bytes(b'not a database at all' * 100)
    elif damage == 'empty':
        index.write_bytes(b'')
    elif damage == 'of another journal':
        with ReplayCache(tmp_path / 'two') as cache:
            for text in ('longer', 'x'):
                RememberingChat(CountingChat(), cache).ask(question(text))
        index.write_bytes((tmp_path / 'two' / 'index.sqlite').read_bytes())
    else:
        held = sqlite3.connect(index)
        held.execute('DELETE FROM answers WHERE start > 0')
        held.execute('UPDATE read_to SET size = (SELECT MIN(start) FROM answers)')
        held.commit()
        held.close()
    with ReplayCache(tmp_path / 'one') as cache:
        assert len(cache) == 3
        assert [RememberingChat(chat, cache).ask(question(text)).text for text in 'abc'] == ['A', 'B', 'C']
    assert chat.asked == ['a', 'b', 'c']


def test_a_damaged_line_in_the_middle_costs_its_own_answer_alone(tmp_path):
    chat = CountingChat()
    with ReplayCache(tmp_path) as cache:
        for text in 'abc':
            RememberingChat(chat, cache).ask(question(text))
    journal = tmp_path / 'journal.jsonl'
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b'#' * (len(lines[1]) - 1) + b'\n' + lines[2])
    for _ in range(2):
        with ReplayCache(tmp_path) as cache:
            assert [RememberingChat(chat, cache).ask(question(text)).text for text in 'abc'] == ['A', 'B', 'C']
    assert chat.asked == ['a', 'b', 'c', 'b']


def test_the_journal_keeps_question_and_answer_but_not_the_bytes_of_a_picture(tmp_path):
    picture = 'data:image/png;base64,' + 'A' * 30_000
    request = Request(
        ({'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': picture}}]},), 'test-1', seed=7
    )
    with ReplayCache(tmp_path) as cache:
        cache.keep(request.key('tiny'), 'tiny', request, Reply('sad', 'tiny-1'))
        assert cache.find(request.key('tiny')) == Reply('sad', 'tiny-1')
    (line,) = (tmp_path / 'journal.jsonl').read_text().splitlines()
    entry = json.loads(line)
    assert entry['reply']['text'] == 'sad'
    assert entry['request']['seed'] == 7
    assert entry['request']['messages'][0]['content'][0]['image_url']['url'].startswith('30022 characters, sha256 ')
    assert len(line) < 1000


def test_two_processes_do_not_write_one_folder(tmp_path):
    with ReplayCache(tmp_path), pytest.raises(LLMError, match='in use'):
        ReplayCache(tmp_path)
    ReplayCache(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(StorageError, match='a file stands where a folder should be'):
        ReplayCache(tmp_path / 'file' / 'folder')


def test_an_answer_with_half_a_surrogate_pair_is_kept(tmp_path):
    with ReplayCache(tmp_path) as cache:
        cache.keep('k', 'tiny', question('\ud83d'), Reply('joy \ude00', 'tiny-1'))
        assert cache.find('k') == Reply('joy \ude00', 'tiny-1')


@pytest.mark.parametrize('name', ['journal.jsonl', 'index.sqlite', 'index.sqlite.backup', '.lock'])
def test_files_of_others_in_a_folder_for_answers_are_neither_written_into_nor_removed(tmp_path, name):
    (tmp_path / name).write_text('theirs, and no line of ours\n')
    if name in ('journal.jsonl', 'index.sqlite'):
        with pytest.raises(LLMError, match='which is another file'):
            ReplayCache(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [name]
    else:
        ReplayCache(tmp_path).close()
    assert (tmp_path / name).read_text() == 'theirs, and no line of ours\n'


def test_a_database_of_somebody_else_is_not_taken_for_an_index(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / 'index.sqlite')) as theirs:
        theirs.execute('CREATE TABLE patients (name TEXT)')
    before = (tmp_path / 'index.sqlite').read_bytes()
    with pytest.raises(LLMError, match='which is another file'):
        ReplayCache(tmp_path)
    assert (tmp_path / 'index.sqlite').read_bytes() == before


def test_an_index_that_a_kill_left_half_made_is_made_anew(tmp_path):
    # what is there when the first table's transaction is cut: pages that no table describes, and the file to undo them
    with ReplayCache(tmp_path):
        pass
    (tmp_path / 'index.sqlite').write_bytes(b'SQLite format 3\0' + bytes(4080))
    (tmp_path / 'index.sqlite-journal').write_bytes(b'\xd9\xd5\x05\xf9\x20\xa1\x63\xd7' + bytes(504))
    assert (tmp_path / 'journal.jsonl').stat().st_size == 0
    request = question('hello')
    with ReplayCache(tmp_path) as cache:
        assert RememberingChat(CountingChat(), cache).ask(request).text == 'HELLO'
    with ReplayCache(tmp_path) as cache:
        assert len(cache) == 1


def test_an_index_for_which_the_disk_has_no_room_is_told_as_any_file_is(tmp_path, monkeypatch):
    def full(*_, **__):
        error = sqlite3.OperationalError('database or disk is full')
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(sqlite3, 'connect', full)
    with pytest.raises(StorageError, match=r'expected room on the disk; got .*index.sqlite: No'):
        ReplayCache(tmp_path)
