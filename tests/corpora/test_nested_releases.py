"""Releases as people unpack them: below the folder that is named, archive by archive, with shadows of macOS."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import layouts
import pytest
from click.testing import CliRunner
from layouts import transcripts, write

from affekt.cli import main
from affekt.corpora import import_corpus
from affekt.corpora.checks import check_corpus
from affekt.corpora.manifest import COLUMNS
from affekt.corpora.own import NAMES, TABLES
from affekt.media.writing import write_video


def _rows(name, folder):
    return {row.sample: row for row in import_corpus(name, folder).samples}


def _moved(folder: Path, places: dict[str, str]) -> None:
    for old, new in places.items():
        aside = shutil.move(folder / old, folder.with_name(f'{folder.name}-aside'))
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(aside, folder / new)


def _import(folder: Path, name: str) -> str:
    words = ['corpus', 'import', name, str(folder), '--out', str(folder / 'm.parquet')]
    return CliRunner().invoke(main, words).stdout


MELD = {
    'clips deeper': {'train_splits': 'train/train_splits'},
    'clips and tables deeper': {
        'train_splits': 'train/train_splits',
        'train_sent_emo.csv': 'train/train_sent_emo.csv',
        'test_sent_emo.csv': 'test/test_sent_emo.csv',
    },
    'all below the folder that is named': {
        'train_splits': 'MELD.Raw/train/train_splits',
        'train_sent_emo.csv': 'MELD.Raw/train/train_sent_emo.csv',
        'test_sent_emo.csv': 'MELD.Raw/test_sent_emo.csv',
    },
    'two folders of one name': {'train_splits': 'train_splits/train_splits'},
    'tables beside the archive': {'train_splits': 'MELD.Raw/train_splits'},
}


@pytest.mark.parametrize('form', MELD)
def test_meld_is_found_however_its_archives_were_unpacked(tmp_path, form):
    layouts.meld(tmp_path)
    write(tmp_path / 'train_splits' / '._dia0_utt1.mp4')
    _moved(tmp_path, MELD[form])
    manifest = import_corpus('meld', tmp_path)
    assert len(manifest) == 4
    clips = {row.sample: manifest.media(row, 'video') for row in manifest.samples}
    assert clips.pop('train_dia0_utt0') == tmp_path / MELD[form]['train_splits'] / 'dia0_utt0.mp4'
    assert set(clips.values()) == {None}


def test_clips_of_each_split_are_taken_from_its_own_folder(tmp_path):
    layouts.meld(tmp_path)
    write(tmp_path / 'test' / 'output_repeated_splits_test' / 'dia7_utt0.mp4')
    write(tmp_path / 'test' / 'output_repeated_splits_test' / 'dia0_utt0.mp4')
    write(tmp_path / 'dev' / 'dev_splits_complete' / 'dia0_utt0.mp4')
    rows = _rows('meld', tmp_path)
    assert rows['train_dia0_utt0'].video == 'train_splits/dia0_utt0.mp4'
    assert rows['test_dia7_utt0'].video == 'test/output_repeated_splits_test/dia7_utt0.mp4'


def test_clips_that_are_not_there_are_named_with_the_places_that_were_searched(tmp_path):
    layouts.meld(tmp_path)
    (note,) = [note for note in import_corpus('meld', tmp_path).facts.notes if 'found for' in note]
    assert note == (
        "no video, audio or face images found for 3 of 4 samples: 'train_dia0_utt1', 'test_dia7_utt0', "
        "'test_dia7_utt1'; searched train_splits, train, output_repeated_splits_test, test, and folders of these names "
        'further down'
    )


@pytest.mark.parametrize(
    ('videos', 'whose'), [(['video1'], "the only sample: 'video1';"), (['a', 'b'], "all 2 samples: 'a', 'b';")]
)
def test_where_no_clip_is_there_it_is_said_of_all_samples(tmp_path, videos, whose):
    for video in videos:
        path = tmp_path / 'VA_Estimation_Challenge' / 'Train_Set' / f'{video}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('valence,arousal\n0.1,0.2\n')
    notes = import_corpus('affwild2', tmp_path).facts.notes
    assert any(f'no video, audio or face images found for {whose} searched' in note for note in notes)


def test_control_characters_of_meld_are_the_marks_of_windows_text(tmp_path):
    layouts.meld(tmp_path)
    path = tmp_path / 'train_sent_emo.csv'
    path.write_bytes(path.read_bytes().replace(b'Well, hi.', 'That\x92s \x93it\x94\x85'.encode()))
    assert _rows('meld', tmp_path)['train_dia0_utt0'].text == 'That’s “it”…'


@pytest.mark.parametrize('below', ['IEMOCAP_full_release', 'data/IEMOCAP_full_release', '.'])
def test_iemocap_is_found_below_its_parent(tmp_path, below):
    layouts.iemocap(tmp_path / below)
    rows = _rows('iemocap6', tmp_path)
    place = '' if below == '.' else f'{below}/'
    one = rows['Ses01F_impro01_F000']
    assert one.audio == f'{place}Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav'
    assert one.video == f'{place}Session1/dialog/avi/DivX/Ses01F_impro01.avi'
    assert (one.text, len(rows)) == ('Excuse me.', 6)


def test_iemocap_is_found_session_by_session(tmp_path):
    layouts.iemocap(tmp_path)
    for number in (1, 2):
        _moved(tmp_path, {f'Session{number}': f'part{number}/Session{number}'})
    rows = _rows('iemocap4', tmp_path)
    assert {row.session for row in rows.values()} == {'Ses01', 'Ses02'}
    assert all(row.video for row in rows.values())


def test_ravdess_is_joined_over_the_archives_of_sound_and_of_video(tmp_path):
    write(tmp_path / 'Audio_Speech_Actors_01-24' / 'Actor_01' / '03-01-05-02-01-01-01.wav')
    write(tmp_path / 'Video_Speech_Actor_01' / 'Actor_01' / '01-01-05-02-01-01-01.mp4')
    (row,) = import_corpus('ravdess', tmp_path).samples
    assert row.audio == 'Audio_Speech_Actors_01-24/Actor_01/03-01-05-02-01-01-01.wav'
    assert row.video == 'Video_Speech_Actor_01/Actor_01/01-01-05-02-01-01-01.mp4'


@pytest.mark.parametrize(
    ('name', 'layout'),
    [
        ('mer2023', 'mer2023'), ('mer2024', 'mer2024'), ('mer2025', 'mer2025'), ('mer2026', 'mer2026'),
        ('sims', 'mmsa'), ('cremad', 'cremad'), ('emodb', 'emodb'), ('mafw', 'mafw'), ('dfew', 'dfew'),
        ('ferv39k', 'ferv39k'), ('iemocap6', 'iemocap'), ('ravdess', 'ravdess'), ('msp-improv', 'msp_improv'),
        ('werewolf-xl', 'werewolf_xl'),
    ],
)  # fmt: skip
def test_every_release_is_found_below_the_folder_that_is_named(tmp_path, name, layout):
    getattr(layouts, layout)(tmp_path / 'direct')
    getattr(layouts, layout)(tmp_path / 'above' / 'download' / 'release')
    direct, deeper = (import_corpus(name, tmp_path / place) for place in ('direct', 'above'))

    def told(row, place):
        media = (None if path is None else f'{place}{path}' for path in (row.video, row.audio, row.frames))
        return row.sample, row.category, row.text, *media

    expected = [told(row, 'download/release/') for row in direct.samples]
    assert [told(row, '') for row in deeper.samples] == expected


def test_ones_own_clips_are_found_in_any_folder_where_one_alone_has_the_name(tmp_path):
    write(tmp_path / 'samples.csv', 'sample,category\na.wav,x\nb,y\nc,x\nd/e.mp4,y\n')
    for path in ('day1/a.wav', 'day2/b.mp4', 'day1/c.wav', 'day2/c.wav', 'sub/d/e.mp4'):
        write(tmp_path / path)
    manifest = import_corpus('folder', tmp_path)
    assert [(row.audio, row.video) for row in manifest.samples] == [
        ('day1/a.wav', None), (None, 'day2/b.mp4'), (None, None), (None, 'sub/d/e.mp4')
    ]  # fmt: skip
    assert 'c is the name of 2 files in different folders: none was taken' in manifest.facts.notes


def test_ones_own_table_in_gbk_is_read_and_said_to_be(tmp_path):
    rows = 'sample,category,text\na,高兴,我今天很高兴\nb,难过,你为什么哭了\n'
    (tmp_path / 'samples.csv').write_bytes(rows.encode('gbk'))
    manifest = import_corpus('folder', tmp_path)
    assert [(row.category, row.text) for row in manifest.samples] == [
        ('高兴', '我今天很高兴'),
        ('难过', '你为什么哭了'),
    ]
    assert any('is read as GB 18030' in note for note in manifest.facts.notes)


def test_ones_own_table_further_down_is_not_taken_for_the_folder_that_is_named(tmp_path):
    layouts.own(tmp_path / 'other' / 'project')
    with pytest.raises(OSError, match=r'write samples\.csv there'):
        import_corpus('folder', tmp_path)


def test_sound_within_videos_is_no_missing_sound(tmp_path):
    import numpy as np

    write(tmp_path / 'samples.csv', 'sample,category\nloud,x\n')
    pictures = [np.zeros((32, 32, 3), dtype=np.uint8)] * 10
    write_video(tmp_path / 'loud.mp4', pictures, 10.0, np.zeros(16_000, dtype=np.float32), 16_000)
    manifest = import_corpus('folder', tmp_path)
    check = check_corpus(manifest)
    assert (check.sound_in_video, 'audio' in check.can_run) == (True, True)
    shown = CliRunner().invoke(
        main, ['corpus', 'import', 'folder', str(tmp_path), '--out', str(tmp_path / 'm.parquet')]
    )
    assert 'read from the videos' in shown.stdout
    assert [line for line in shown.stdout.splitlines() if 'cannot run' in line and 'audio' in line] == []


def test_what_is_missing_is_named_in_json_too(tmp_path):
    layouts.meld(tmp_path / 'release')
    CliRunner().invoke(
        main, ['corpus', 'import', 'meld', str(tmp_path / 'release'), '--out', str(tmp_path / 'm.parquet')]
    )
    (tmp_path / 'release' / 'train_splits' / 'dia0_utt0.mp4').unlink()
    facts = json.loads(CliRunner().invoke(main, ['corpus', 'check', str(tmp_path / 'm.parquet'), '--json']).stdout)
    assert facts['gone'] == {'video': 1}
    assert facts['gone_first'] == {'video': ['train_dia0_utt0']}


def test_the_help_of_ones_own_folder_names_every_column_that_is_read():
    shown = CliRunner().invoke(main, ['corpus', 'import', 'folder', '--help'], env={'COLUMNS': '100'}).stdout
    words = set(shown.replace(',', ' ').replace('(', ' ').replace(')', ' ').replace(':', ' ').replace(';', ' ').split())
    assert {*(set(COLUMNS) - {'missing', 'corruption'}), *(name for names in NAMES.values() for name in names)} <= words
    assert {f'.{table.split(".")[1]}' for table in TABLES} - {'.csv'} <= words
    assert max(map(len, shown.splitlines())) <= 80


def test_transcripts_further_down_are_read(tmp_path):
    layouts.mer2025(tmp_path / 'x')
    (tmp_path / 'x' / 'subtitle_chieng.csv').unlink()
    transcripts(tmp_path / 'x' / 'texts', ['sample_1', 'samplenew_1'], 'subtitle_chieng.csv')
    assert _rows('mer2025', tmp_path / 'x')['sample_1'].chinese == '说 sample_1'
