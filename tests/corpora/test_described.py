"""Corpora of descriptions in free words: official layouts, what is wrong with a sample, and the real EMER-Fine."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner
from layouts import transcripts, write

from affekt.cli import main
from affekt.corpora import (
    CORPORA,
    Facts,
    Manifest,
    Sample,
    check_corpus,
    check_descriptions,
    fit_to_learn,
    import_corpus,
)
from affekt.errors import TableError, UnknownNameError

CLUES = 'In the video, she smiles. In the audio, her voice is bright. In the text, she is glad.'


def table(path, head, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([head, *rows])


def tracks(folder, stem, labels, reasons):
    table(folder / f'track2_train_{stem}.csv', ['name', 'openset'], *labels)
    table(folder / f'track3_train_{stem}.csv', ['name', 'reason'], *reasons)


def rows(name, folder):
    manifest = import_corpus(name, folder)
    return {row.sample: row for row in manifest.samples}, manifest.facts.notes


@pytest.mark.parametrize(
    ('name', 'stem'),
    [
        ('ov-merd', 'ovmerd'), ('mer-caption-plus', 'mercaptionplus'), ('mer-caption', 'mercaption'),
        ('emer-coarse', 'mercaption'), ('MER_Caption_Plus', 'mercaptionplus'),
    ],
)  # fmt: skip
def test_labels_and_reasons_of_the_two_tracks_meet_by_name(tmp_path, name, stem):
    tracks(
        tmp_path, stem, [['s1', "['Happy', 'relieved']"], ['s2', '[]'], ['s3', '["don\'t care"]']],
        [['s2', CLUES], ['s1', 'He frowns.'], ['s4', 'She nods.']],
    )  # fmt: skip
    write(tmp_path / 'video' / 's1.mp4')
    (tmp_path / 'openface_face' / 's2').mkdir(parents=True)
    write(tmp_path / 'openface_face' / 's3.npy')
    transcripts(tmp_path, ['s1', 's9'], 'subtitle_chieng.csv')
    found, notes = rows(name, tmp_path)
    assert list(found) == ['s1', 's2', 's3', 's4']
    first = found['s1']
    assert (first.labels, first.description, first.video) == (('happy', 'relieved'), 'He frowns.', 'video/s1.mp4')
    assert (first.text, first.chinese, first.english) == ('说 s1', '说 s1', 'say s1')
    assert (found['s2'].openset, found['s2'].labels, found['s2'].frames) == (None, (), 'openface_face/s2')
    assert (found['s3'].labels, found['s3'].frames) == (("don't care",), 'openface_face/s3.npy')
    assert (found['s4'].labels, found['s4'].description) == ((), 'She nods.')
    size = CORPORA[name.lower().replace('_', '-')].published['']
    assert f'all: 4 samples, {size} were published' in notes
    assert any(note.startswith('3 different labels, ') for note in notes)


def test_the_first_version_of_emer_has_both_languages_of_what_was_said_and_described(tmp_path):
    head = ['names', 'emotions', 'subtitles', 'reasons']
    table(tmp_path / 'gt-eng.csv', head, ['s1', 'happy', 'Well!', CLUES], ['s2', 'angry', '', 'He shouts.'])
    table(tmp_path / 'gt-chi.csv', head, ['s1', 'happy', '好!', '她在笑。'], ['s2', 'angry', '', '他大喊。'])
    found, _ = rows('emer', tmp_path)
    first = found['s1']
    assert (first.labels, first.text, first.english) == (('happy',), '好!', 'Well!')
    assert (first.description, first.chinese_description) == (CLUES, '她在笑。')
    assert (found['s2'].text, found['s2'].labels) == (None, ('angry',))


def test_ov_merd_plus_takes_its_english_subtitles_and_human_ov_its_labels(tmp_path):
    table(tmp_path / 'ovlabel.csv', ['name', 'openset'], ['s1', "['sad']"])
    table(tmp_path / 'subtitle_eng.csv', ['name', 'sentence'], ['s1', 'I miss her.'], ['s7', 'Who?'])
    found, _ = rows('ov-merd-plus', tmp_path)
    assert [(row.sample, row.text, row.labels) for row in found.values()] == [('s1', 'I miss her.', ('sad',))]
    table(tmp_path / 'h' / 'track2_train_human.csv', ['name', 'openset'], ['s1', '["calm"]'])
    assert rows('human-ov', tmp_path / 'h')[0]['s1'].labels == ('calm',)


def test_one_track_alone_is_read_and_the_other_noted_as_missing(tmp_path):
    table(tmp_path / 'track3_train_ovmerd.csv', ['name', 'reason'], ['s1', CLUES])
    found, notes = rows('ov-merd', tmp_path)
    assert found['s1'].description == CLUES
    assert 'track2_train_ovmerd.csv is missing' in notes


def test_a_row_that_stands_twice_is_taken_once_and_two_that_differ_are_refused(tmp_path):
    path = tmp_path / 'track3_train_ovmerd.csv'
    table(path, ['name', 'reason'], ['s1', CLUES], ['s1', CLUES])
    found, notes = rows('ov-merd', tmp_path)
    assert len(found) == 1
    assert any('1 row left out that repeated another' in note for note in notes)
    table(path, ['name', 'reason'], ['s1', CLUES], ['s1', 'He frowns.'])
    with pytest.raises(TableError, match="two that differ for 's1'"):
        import_corpus('ov-merd', tmp_path)
    for nameless in ('', 'nan'):
        table(path, ['name', 'reason'], [nameless, CLUES])
        with pytest.raises(TableError, match='row 1 without a name'):
            import_corpus('ov-merd', tmp_path)
    table(path, ['id', 'reason'], ['s1', CLUES])
    with pytest.raises(TableError, match='the columns name'):
        import_corpus('ov-merd', tmp_path)


def faulty() -> Manifest:
    samples = [
        Sample('good', video='v.mp4', description=CLUES, chinese_description='她在笑。', openset='["happy"]'),
        Sample('gone', description='He frowns.', openset='["angry"]'),
        Sample('mute', video='v.mp4', openset='["sad"]'),
        Sample('blank', video='v.mp4', description='She nods.'),
        Sample('again', video='v.mp4', description=f' {CLUES}\n', openset='["happy"]'),
        Sample('odd', video='v.mp4', description='He sighs.', openset='["happy", "florbed"]'),
        Sample('swapped', video='v.mp4', description='他大喊，很生气。', chinese_description='He shouts.',
               openset='["angry"]'),
    ]  # fmt: skip
    return Manifest(Facts('made up'), samples)


def test_each_reason_to_leave_a_sample_out_names_the_samples_that_it_holds_for():
    checked = check_descriptions(faulty())
    assert checked.reasons == {
        'no clip': ('gone',), 'no description': ('mute',), 'no labels': ('blank',), 'repeated': ('again',),
        'unknown label': ('odd',), 'language': ('swapped',),
    }  # fmt: skip
    assert (checked.descriptions, checked.label_lists, checked.labels, checked.different_labels) == (6, 6, 7, 4)
    assert checked.faulty == 6
    assert check_corpus(faulty()).unlabelled == 0


def test_what_is_left_out_is_noted_with_its_reason_and_nothing_else_goes():
    kept = fit_to_learn(faulty(), ['repeated', 'language'])
    assert kept.names == ('good', 'gone', 'mute', 'blank', 'odd')
    assert kept.facts.notes == ('left out, repeated: 1 sample', 'left out, language: 1 sample')
    with pytest.raises(UnknownNameError, match="'repeated'"):
        fit_to_learn(faulty(), ['repeat'])
    with pytest.raises(TableError, match='a sample of made up that is left'):
        fit_to_learn(Manifest(Facts('made up'), [Sample('a', openset='["sad"]')]), ['no clip'])


def test_a_corpus_without_descriptions_is_not_blamed_for_having_none():
    checked = check_descriptions(Manifest(Facts('made up'), [Sample('a', video='v', openset='["sad"]')]))
    assert checked.reasons == {}
    assert check_corpus(Manifest(Facts('made up'), [Sample('a', video='v')])).descriptions is None


def test_descriptions_and_labels_survive_a_file_and_older_files_lack_them(tmp_path):
    faulty().save(tmp_path / 'm.parquet')
    assert tuple(Manifest.load(tmp_path / 'm.parquet').samples) == tuple(faulty().samples)
    from pyarrow import parquet

    old = parquet.read_table(tmp_path / 'm.parquet').drop_columns(['description', 'chinese_description', 'openset'])
    parquet.write_table(old, tmp_path / 'old.parquet')
    assert Manifest.load(tmp_path / 'old.parquet').samples[0] == Sample('good', video='v.mp4')


def test_ones_own_table_may_have_descriptions_and_labels(tmp_path):
    table(tmp_path / 'samples.csv', ['name', 'reason', 'openset'], ['a', CLUES, '[happy, glad]'])
    found, _ = rows('folder', tmp_path)
    assert (found['a'].description, found['a'].labels) == (CLUES, ('happy', 'glad'))


def test_the_commands_count_reasons_and_leave_samples_out(tmp_path):
    tracks(tmp_path, 'ovmerd', [['s1', "['happy']"], ['s2', "['sad']"]], [['s1', CLUES], ['s2', CLUES]])
    out = tmp_path / 'm.parquet'
    words = ['corpus', 'import', 'ov-merd', str(tmp_path), '--out', str(out)]
    shown = CliRunner().invoke(main, words, env={'COLUMNS': '80'}).stdout
    assert '2 descriptions, 86 to 86 characters, mean 86' in shown
    assert 'repeated' in shown
    asked = [*words, '--leave-out', 'repeated', '--json']
    facts = json.loads(CliRunner().invoke(main, asked).stdout)
    assert (facts['samples'], facts['descriptions']['reasons']) == (1, {'no clip': ['s1']})
    checked = json.loads(CliRunner().invoke(main, ['corpus', 'check', str(out), '--json']).stdout)
    assert checked['descriptions']['different_labels'] == 1


def test_the_real_emer_fine_has_its_published_counts(shared_data):
    manifest = import_corpus('emer-fine', shared_data / 'mer2024_ov')
    checked = check_descriptions(manifest)
    assert (len(manifest), checked.descriptions, checked.labels, checked.different_labels) == (332, 332, 1121, 248)
    assert (checked.characters[0], round(checked.characters[1]), checked.characters[2]) == (350, 1296, 2896)
    assert set(checked.reasons) == {'no clip'}
    assert all(row.chinese_description for row in manifest.samples)
    assert not [note for note in manifest.facts.notes if 'published' in note]


def test_descriptions_and_labels_in_two_folders_of_the_release_are_one_corpus(tmp_path):
    for file, head, row in (
        ('dataset-v2/final-EMER-reason.csv', ['name', 'chinese', 'english'], ['s1', '她微笑。', 'She smiles.']),
        ('ov_store/check-openset.csv', ['name', 'openset'], ['s1', "['happy']"]),
    ):
        (tmp_path / file).parent.mkdir()
        table(tmp_path / file, head, row)
    found, notes = rows('emer-fine', tmp_path)
    assert (found['s1'].description, found['s1'].labels) == ('She smiles.', ('happy',))
    assert not [note for note in notes if 'openset' in note]
