"""Every export is opened again with its own library and compared by content."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.analysis.analysis import Analysis
from affekt.analysis.assemble import assemble
from affekt.analysis.export import EXPORTS, SUFFIXES, export, flattened, tiers
from affekt.analysis.observations import Observed
from affekt.analysis.records import Source, Spoken
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.timeline import Timeline
from affekt.errors import RunError, UnknownNameError

ODD = 'Ünï <b>&amp; "quoted" \'x\' --> 🙂 \x07 end\nnext'
ODD_CLEAN = 'Ünï <b>&amp; "quoted" \'x\' --> 🙂 end next'


@pytest.fixture(scope='module')
def analysis(observed) -> Analysis:
    whole = assemble(observed, AnalysisSettings())
    first, *rest = whole.utterances
    return dataclasses.replace(whole, utterances=(dataclasses.replace(first, text=ODD), *rest))


@pytest.fixture(scope='module')
def nothing() -> Analysis:
    return assemble(Observed(Source('empty.wav', 'audio', 3.0, '00' * 32)), AnalysisSettings())


def test_every_format_has_a_suffix():
    assert set(EXPORTS) == set(SUFFIXES) == {'parquet', 'csv', 'eaf', 'textgrid', 'vtt', 'json'}


def test_parquet_holds_the_timeline(analysis, tmp_path):
    assert Timeline.read_parquet(export(analysis, 'parquet', tmp_path / 'a.parquet')) == analysis.timeline


def test_csv_holds_file_start_and_end_and_every_row(analysis, tmp_path):
    table = pa_csv.read_csv(export(analysis, 'csv', tmp_path / 'a.csv'))
    assert table.column_names[:3] == ['file', 'start', 'end']
    assert table.num_rows == len(analysis.timeline)
    assert set(table['file'].to_pylist()) == {'made-up.mp4'}
    assert table['start'].to_pylist() == pytest.approx(analysis.timeline.column('start_s').tolist())


def test_json_holds_everything_and_no_nan(analysis, tmp_path):
    text = export(analysis, 'json', tmp_path / 'a.json').read_text(encoding='utf-8')
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f'{name} is no JSON'))
    assert len(content['timeline']) == len(analysis.timeline)
    assert content['utterances'][0]['text'] == ODD
    torn = [row for row in content['timeline'] if row['abstained'] == 'contradiction']
    assert torn
    assert all(row['value'] is None for row in torn)


def test_elan_reads_the_same_tiers(analysis, tmp_path):
    from pympi.Elan import Eaf

    document = Eaf(str(export(analysis, 'eaf', tmp_path / 'a.eaf')))
    expected = tiers(analysis)
    assert set(document.get_tier_names()) == set(expected)
    for name, intervals in expected.items():
        read = sorted(document.get_annotation_data_for_tier(name))
        assert [(a[0], a[1], a[2]) for a in read] == [(round(s * 1000), round(e * 1000), t) for s, e, t in intervals]
    assert expected['person 1 words'][0][2] == ODD_CLEAN


def test_praat_reads_the_same_tiers(analysis, tmp_path):
    from praatio import textgrid

    grid = textgrid.openTextgrid(
        str(export(analysis, 'textgrid', tmp_path / 'a.TextGrid')), includeEmptyIntervals=False
    )
    expected = tiers(analysis)
    assert set(grid.tierNames) == set(expected)
    assert grid.maxTimestamp == 40.0
    for name, intervals in expected.items():
        read = [(entry.start, entry.end, entry.label) for entry in grid.getTier(name).entries]
        assert read == [(pytest.approx(s), pytest.approx(e), t) for s, e, t in intervals]


def test_webvtt_reads_the_same_cues(analysis, tmp_path):
    import html

    import webvtt

    captions = webvtt.read(str(export(analysis, 'vtt', tmp_path / 'a.vtt'))).captions
    assert [c.start_in_seconds for c in captions] == [2, 20, 32]
    assert html.unescape(captions[0].raw_text).startswith(f'<v person 1>{ODD_CLEAN}')
    assert captions[2].raw_text.startswith('<v voice>Thank you so much. [')
    spoken = [x.word for x in analysis.labels if x.person == 'voice' and x.scope == 'span']
    assert captions[2].raw_text.endswith(f' [{", ".join(spoken)}]')


@pytest.mark.parametrize('kind', sorted(EXPORTS))
def test_an_analysis_without_anything_exports_too(nothing, kind, tmp_path):
    out = export(nothing, kind, tmp_path / f'a{SUFFIXES[kind]}')
    assert out.stat().st_size > 0
    if kind == 'eaf':
        from pympi.Elan import Eaf

        assert Eaf(str(out)).get_annotation_data_for_tier('default') == []
    if kind == 'textgrid':
        from praatio import textgrid

        assert textgrid.openTextgrid(str(out), includeEmptyIntervals=True).maxTimestamp == 3.0
    if kind == 'vtt':
        import webvtt

        assert webvtt.read(str(out)).captions == []


def test_an_exported_folder_is_the_exported_analysis(analysis, tmp_path):
    analysis.save(tmp_path / 'run')
    left = export(tmp_path / 'run', 'vtt', tmp_path / 'a.vtt').read_text(encoding='utf-8')
    assert left == export(analysis, 'vtt', tmp_path / 'b.vtt').read_text(encoding='utf-8')


def test_unknown_formats_and_folders_raise(analysis, tmp_path):
    with pytest.raises(UnknownNameError, match='textgrid'):
        export(analysis, 'docx', tmp_path / 'a.docx')
    with pytest.raises(RunError, match=r'analysis\.json'):
        export(tmp_path, 'vtt', tmp_path / 'a.vtt')
    (tmp_path / 'file').write_text('x')
    with pytest.raises(RunError, match='a file stands where a folder should be'):
        export(analysis, 'vtt', tmp_path / 'file' / 'a.vtt')


def test_overlapping_intervals_share_time():
    # 0-2 a, 1-3 b: a alone until 1, both until 2, b alone until 3.
    assert flattened([(0, 2, 'a'), (1, 3, 'b')], 10) == [(0, 1, 'a'), (1, 2, 'a / b'), (2, 3, 'b')]


def test_touching_equals_become_one_and_the_end_is_kept_inside():
    assert flattened([(0, 1, 'a'), (1, 2, 'a'), (2, 9, 'b')], 5) == [(0, 2, 'a'), (2, 5, 'b')]


@pytest.mark.parametrize('duration_s', [5.0035, 5.0025])
def test_tiers_end_with_their_textgrid_where_half_a_millisecond_is_rounded(make, tmp_path, capsys, duration_s):
    # 5.0035 s and 5.0025 s are 5004 ms and 5002 ms to even, and 5.003 s both to three digits
    from praatio import textgrid

    faces = make.table(make.face_rows('person 1', 0, duration_s, 'happiness'), 'faces')
    source = Source('a.mp4', 'video', duration_s, '00' * 32, 64, 64, make.rate, make.rate)
    out = export(assemble(Observed(source, faces), AnalysisSettings()), 'textgrid', tmp_path / 'a.TextGrid')
    assert capsys.readouterr().out == ''  # praatio prints where it changes the length
    grid = textgrid.openTextgrid(str(out), includeEmptyIntervals=True)
    assert {tier.maxTimestamp for tier in grid.tiers} == {grid.maxTimestamp} == {round(duration_s * 1000) / 1000}


intervals = st.lists(
    st.builds(
        lambda start, length, text: (start / 4, (start + length) / 4, text),
        st.integers(0, 50),
        st.integers(1, 20),
        st.sampled_from('abc'),
    ),
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(given_intervals=intervals)
def test_flattened_intervals_never_overlap_and_lose_nobody(given_intervals):
    flat = flattened(given_intervals, 100.0)
    assert all(left[1] <= right[0] for left, right in pairwise(flat))
    for start, end, text in given_intervals:
        parts = [(max(start, s), min(end, e)) for s, e, t in flat if text in t.split(' / ')]
        shown = sum(high - low for low, high in parts if high > low)
        assert shown == pytest.approx(end - start)


def test_utterances_without_times_are_left_out(analysis, tmp_path):
    untimed = Spoken(float('nan'), float('nan'), 'person 1', '', 'whenever')
    whole = dataclasses.replace(analysis, utterances=(untimed,))
    assert 'whenever' not in export(whole, 'vtt', tmp_path / 'a.vtt').read_text(encoding='utf-8')
    assert 'person 1 words' not in tiers(whole)


@pytest.mark.parametrize(
    ('name', 'kind', 'mime'),
    [('a.wav', 'audio', 'audio/x-wav'), ('A.WAV', 'audio', 'audio/x-wav'), ('a.mp4', 'video', 'video/mp4'),
     ('a.mov', 'video', 'video/quicktime'), ('a.mpg', 'video', 'video/mpeg'), ('a.mp3', 'audio', 'audio/mpeg'),
     ('a.png', 'image', 'image/png'), ('a.xyz', 'audio', 'audio/*'), ('a', 'video', 'video/*')],
)  # fmt: skip
def test_elan_is_told_the_type_of_the_recording(analysis, tmp_path, name, kind, mime):
    source = dataclasses.replace(analysis.source, name=name, kind=kind)
    text = export(dataclasses.replace(analysis, source=source), 'eaf', tmp_path / 'a.eaf').read_text(encoding='utf-8')
    assert f'MIME_TYPE="{mime}"' in text


def test_what_was_not_measured_is_an_empty_cell_of_a_csv(analysis, tmp_path):
    text = export(analysis, 'csv', tmp_path / 'a.csv').read_text(encoding='utf-8')
    assert ',nan' not in text
    read = pa_csv.read_csv(tmp_path / 'a.csv')
    for name in ('value', 'confidence', 'low', 'high'):
        assert read[name].null_count == np.isnan(analysis.timeline.column(name)).sum()
    assert read['value'].null_count


def test_a_table_has_as_many_parts_as_the_deepest_recording_of_a_run(analysis, tmp_path):
    source = dataclasses.replace(analysis.source, file='sad/one/a.mp4')
    path = export(dataclasses.replace(analysis, source=source), 'csv', tmp_path / 'a.csv', least_parts=3)
    row = pa_csv.read_csv(path).to_pylist()[0]
    assert [row[name] for name in ('file', 'part1', 'part2')] == ['sad/one/a.mp4', 'sad', 'one']
    assert not row['part3']


def test_a_tier_tells_the_course_of_each_person(analysis):
    assert ('sadness', 'person 2') in {
        (text.split()[0], name.removesuffix(' course'))
        for name, intervals in tiers(analysis).items()
        if name.endswith(' course')
        for _, _, text in intervals
    }


def test_a_caption_holds_no_word_that_a_sentence_would_not_tell(analysis, tmp_path):
    guesses = tuple(dataclasses.replace(label, certainty=0.3) for label in analysis.labels)
    guessed = export(dataclasses.replace(analysis, labels=guesses), 'vtt', tmp_path / 'a.vtt')
    assert '[' not in guessed.read_text()
    assert '[' in export(analysis, 'vtt', tmp_path / 'a.vtt').read_text()
