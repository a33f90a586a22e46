"""A manifest captioned: the table, the estimate, and nothing lost by a server that fails, lies and dies."""

from __future__ import annotations

from dataclasses import replace

import pyarrow.parquet
import pytest
from caption_runs import settings_for
from clip_server import REFUSAL, ClipServer, Faults

from affekt.captioning import (
    CANNOT_BE_JUDGED,
    Caption,
    CaptionSettings,
    Models,
    Place,
    caption,
    place_of,
    read_captions,
)
from affekt.captioning.captions import ROWS_A_GROUP, write_tables
from affekt.captioning.running import media_to_send
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import LLMError, RunError, ValueRangeError
from affekt.llm import form_of
from affekt.media.synthetic import tone
from affekt.media.writing import write_audio
from affekt.runs import Run, placed_entries


def test_three_clips_become_a_table_with_both_clues_the_words_and_labels(corpus, serve, tmp_path):
    manifest = corpus(5)
    made = caption(manifest, settings_for(serve()), tmp_path / 'out', at_once=2)

    assert made.statuses == {'merged': 4, 'kept': 1}
    assert made.is_whole
    table = read_captions(tmp_path / 'out')
    assert table.names == manifest.names
    assert all(table.columns['audio_clue'] + table.columns['visual_clue'])
    assert all(table.labels)
    kept = table.column('description')['clip004']  # nothing is said there
    assert kept == f'{table.column("audio_clue")["clip004"]} {table.column("visual_clue")["clip004"]}'


def test_a_server_that_fails_and_lies_is_counted_as_what_it_is_and_runs_are_equal(corpus, serve, tmp_path):
    manifest = corpus(14)
    lies = Faults(fail=0.1, cut=0.1, close=0.1, empty=0.1, refuse=0.3, nonsense=0.15, data=0.1, drop=0.25)
    for out in ('first', 'second'):
        caption(manifest, settings_for(serve(lies), labels=True), tmp_path / out, at_once=3)
    assert (tmp_path / 'first' / 'captions.csv').read_bytes() == (tmp_path / 'second' / 'captions.csv').read_bytes()
    table = read_captions(tmp_path / 'first')
    heard = set(table.columns['audio_status']) | set(table.columns['visual_status'])
    assert {'ok', 'dropped', 'refusal', 'nonsense'} <= heard
    assert not any(REFUSAL in text for text in table.columns['description'])
    for status, description, labels in zip(
        table.columns['status'], table.columns['description'], table.labels, strict=True
    ):
        if status == 'unjudged':
            assert (description, labels) == (CANNOT_BE_JUDGED, ())


def test_clips_that_got_no_answer_are_failed_in_the_table_and_asked_again_to_the_same_bytes(corpus, serve, tmp_path):
    manifest = corpus(14)
    caption(manifest, settings_for(serve(Faults(refuse=0.2))), tmp_path / 'whole', at_once=2)
    server = serve(Faults(refuse=0.2, fail=0.1), dies_after=62)
    ended = caption(manifest, settings_for(server), tmp_path / 'ended', at_once=2)
    assert 0 < len(ended.failed) < 10
    assert {read_captions(tmp_path / 'ended').column('status')[name] for name in ended.failed} == {'failed'}

    server.revive()
    asked = len(server.questions)
    made = caption(manifest, settings_for(server), tmp_path / 'ended', at_once=2)
    assert made.resumed == 14 - len(ended.failed)
    assert len(server.questions) - asked < 5 * len(ended.failed)
    for name in ('captions.csv', 'captions.parquet', 'clips.csv'):
        assert (tmp_path / 'ended' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()


def test_a_server_that_is_gone_ends_the_run_and_what_is_done_is_kept(corpus, serve, tmp_path):
    server = serve(dies_after=28)  # half of these are asked before any clip
    with pytest.raises(LLMError, match='8 clips in a row'):
        caption(corpus(14), settings_for(server), tmp_path / 'out', at_once=1)
    journal = (tmp_path / 'out' / 'shard-1-of-1' / 'journal.jsonl').read_text()
    assert len(journal.splitlines()) >= 1


def test_clips_that_a_server_refuses_for_good_are_their_outcomes_and_the_run_goes_on(corpus, serve, tmp_path):
    manifest, server = corpus(12), serve(Faults(forbid=1.0))
    made = caption(manifest, settings_for(server), tmp_path / 'out', at_once=2)
    assert (made.statuses, made.failed, made.is_whole) == ({'unjudged': 12}, {}, True)
    table = read_captions(tmp_path / 'out')
    assert set(table.columns['audio_status'] + table.columns['visual_status']) == {'refused'}
    assert all('against our rules' in why for why in table.columns['why'])
    asked = len(server.questions)
    assert caption(manifest, settings_for(server), tmp_path / 'out').resumed == 12  # their outcome is kept
    assert len(server.questions) == asked
    some = caption(manifest, settings_for(serve(Faults(forbid=0.3))), tmp_path / 'some')
    assert some.statuses['merged']
    assert set(read_captions(tmp_path / 'some').columns['audio_status']) == {'ok', 'refused'}


class Picky(ClipServer):
    """Gives no answer about any clip, and answers plain words."""

    is_picky = True

    def fault_on_the_way(self, question):
        super().fault_on_the_way(question)
        is_clip = question['max_tokens'] > 4 and 'You ' in str(question['messages'])
        return 'fail' if is_clip and self.is_picky else ''


@pytest.fixture
def picky():
    server = Picky()
    yield server
    server.close()


def test_clips_without_an_answer_in_a_row_end_no_run_whose_servers_answer_plain_words(corpus, picky, tmp_path):
    made = caption(corpus(10), settings_for(picky), tmp_path / 'out', at_once=1)
    assert len(made.failed) == 10
    picky.is_picky = False
    assert caption(corpus(10), settings_for(picky), tmp_path / 'out').failed == {}


def test_a_joined_table_has_the_answer_that_a_shard_got_after_its_own_table_called_the_clip_failed(
    corpus, picky, tmp_path
):
    manifest, settings, out = corpus(6), settings_for(picky), tmp_path / 'out'
    assert len(caption(manifest, settings, out, shard=(1, 2), at_once=1).failed) == 3
    picky.is_picky = False
    # as where a second run is ended before it writes its table: the journal is newer than the table
    caption(manifest, settings, out, shard=(1, 2), only_estimate=True)
    assert set(read_captions(out / 'shard-1-of-2').columns['status']) == {'failed'}
    assert caption(manifest, settings, out, shard=(2, 2)).is_whole
    assert 'failed' not in read_captions(out).columns['status']
    # a clip that is cut anew and then got no answer is failed: what its journal has is of another file
    sound = out.parent / manifest.facts.root / 'clip000.wav'
    write_audio(sound, tone(0.9, 300.0), 16_000)
    picky.is_picky = True
    assert set(caption(manifest, settings, out, shard=(1, 2), at_once=1).failed) == {'clip000'}
    assert read_captions(out).column('status')['clip000'] == 'failed'


def test_tables_are_written_row_by_row_and_the_facts_of_finished_clips_are_not_kept_in_memory(tmp_path):
    write_tables(tmp_path, (Caption(f'c{at}', 'merged', 'So.') for at in range(ROWS_A_GROUP + 1)))
    assert pyarrow.parquet.ParquetFile(tmp_path / 'captions.parquet').num_row_groups == 2
    assert len(read_captions(tmp_path)) == ROWS_A_GROUP + 1
    with Run(tmp_path / 'run', {}, keeps_facts=False) as run:
        run.note('a', '', files=(), caption={'text': 'So.'})
        assert run.finished('a').facts == {}
    ((begin, entry),) = placed_entries(tmp_path / 'run')
    assert (begin, entry.facts) == (0, {'caption': {'text': 'So.'}})


def test_shards_join_to_the_table_of_one_run_whichever_ends_last(corpus, serve, tmp_path):
    manifest = corpus(5)
    server = serve()
    caption(manifest, settings_for(server), tmp_path / 'whole')
    second = caption(manifest, settings_for(server), tmp_path / 'parts', shard=(2, 2))
    assert not second.is_whole
    assert caption(manifest, settings_for(server), tmp_path / 'parts', shard=(1, 2)).is_whole
    assert (tmp_path / 'parts' / 'captions.csv').read_bytes() == (tmp_path / 'whole' / 'captions.csv').read_bytes()


def test_a_run_whose_models_could_not_be_asked_is_begun_again_with_others(corpus, serve, tmp_path):
    manifest, server = corpus(2), serve()
    nobody = Place('http://127.0.0.1:9/v1', 'none', attempts=1)
    with pytest.raises(LLMError, match='no connection'):
        caption(manifest, CaptionSettings(Models(nobody, nobody, nobody)), tmp_path / 'out')
    with pytest.raises(LLMError, match='read text alone'):
        here = Place(str(tmp_path / 'tiny.gguf'), 'tiny')
        caption(manifest, CaptionSettings(Models(here, here, here)), tmp_path / 'out')
    made = caption(manifest, settings_for(server), tmp_path / 'out')
    assert (made.statuses, made.lacking) == ({'merged': 2}, {})
    (tmp_path / 'out' / 'shard-1-of-1' / 'journal.jsonl').unlink()  # stopped before a clip was done
    elsewhere = Place('http://127.0.0.1:9/v1', 'clip-1', attempts=1)
    with pytest.raises(LLMError, match='no connection'):
        caption(manifest, CaptionSettings(Models(elsewhere, elsewhere, elsewhere)), tmp_path / 'out')
    asked = len(server.questions)
    caption(manifest, settings_for(server), tmp_path / 'out')
    assert len(server.questions) == asked  # answers are kept when an address was wrong
    with pytest.raises(LLMError, match="'nowhere'; check the path, or begin an address"):
        place_of('nowhere')
    with pytest.raises(ValueRangeError, match='a language'):
        settings_for(server, second_language=' ')


def test_clues_that_there_are_not_are_counted(corpus, serve, tmp_path):
    manifest = corpus(3)
    for name in ('clip000.wav', 'clip001.wav'):
        (tmp_path / 'media' / name).write_bytes(b'')
    made = caption(manifest, settings_for(serve()), tmp_path / 'out')
    assert made.lacking == {'audio unreadable': 2}
    assert list(made.unreadable) == ['clip000', 'clip001']
    assert all(made.unreadable.values())


def test_other_models_are_another_run(corpus, serve, tmp_path):
    manifest, server = corpus(2), serve()
    caption(manifest, settings_for(server), tmp_path / 'out')
    with pytest.raises(RunError, match='words_alone'):
        caption(manifest, settings_for(server, words_alone=True), tmp_path / 'out')


def test_a_clip_without_media_is_not_judged_and_nobody_is_asked(corpus, serve, tmp_path):
    manifest, server = corpus(3), serve()
    manifest = manifest.replaced(video=[None] * 3, audio=[None] * 3)
    made = caption(manifest, settings_for(server), tmp_path / 'out')
    assert made.statuses == {'unjudged': 3}
    assert server.questions == []
    assert set(read_captions(tmp_path / 'out').columns['audio_status']) == {'absent'}


@pytest.mark.parametrize(
    ('server', 'video', 'frames', 'media'),
    [('vllm', 'a.jpg', None, ('video',)), ('vllm', None, 'a', ('image',)), ('openai', 'a.jpg', None, ('image',))],
)
def test_what_is_probed_is_what_will_be_sent(tmp_path, server, video, frames, media):
    (tmp_path / 'a').mkdir()
    manifest = Manifest(Facts('tones', root=str(tmp_path)), [Sample('a', video=video, frames=frames)])
    assert media_to_send(manifest, manifest.samples, 'visual', form_of(server)) == media


def test_paths_of_models_are_written_from_the_root_for_workers_that_begin_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'fine').mkdir()
    (tmp_path / 'trunk').mkdir()
    (tmp_path / 'weights').mkdir()
    (tmp_path / 'faces-utt').mkdir()  # features, as they are extracted: the recipe of that name is no path
    recipes = (('voice', 'chinese-hubert-large-frm@weights'), ('face', 'faces-utt'))
    server = Place('http://localhost:8000/v1', 'clip-1')
    absolute = Models(Place('fine', 'fine 12', trunk='trunk', recipes=recipes), server, server).absolute()
    assert absolute.audio == Place(
        str(tmp_path / 'fine'), 'fine 12', trunk=str(tmp_path / 'trunk'),
        recipes=(('voice', f'chinese-hubert-large-frm@{tmp_path / "weights"}'), ('face', 'faces-utt')),
    )  # fmt: skip
    assert (absolute.visual, absolute.labels) == (server, None)
    (tmp_path / 'small').mkdir()
    assert Place('small', 'small 12', trunk='smollm2-135m-instruct.gguf').absolute().where == 'small'
    (tmp_path / 'affekt').mkdir()  # a folder of the name of a table: the table is meant
    (tmp_path / 'own.json').write_text('{}')
    settings = CaptionSettings(Models(server, server, server))
    assert settings.absolute() == settings
    assert replace(settings, table='own.json').absolute().table == str(tmp_path / 'own.json')
