"""Importers on made-up folders of the released layouts: every field, what is missing, and damage."""

from __future__ import annotations

import pickle

import layouts
import numpy as np
import pytest
from layouts import archive, transcripts, write

from affekt.corpora import CORPORA, Manifest, corpus_named, import_corpus
from affekt.corpora.checks import check_corpus
from affekt.errors import AffektError, ArchiveError, CorpusError, TableError, UnknownNameError


def _rows(name, folder):
    return {row.sample: row for row in import_corpus(name, folder).samples}


def test_one_byte_of_no_known_encoding_costs_one_utterance_of_iemocap_its_text(tmp_path):
    layouts.iemocap(tmp_path)
    transcript = tmp_path / 'Session1/dialog/transcriptions/Ses01F_impro01.txt'
    transcript.write_bytes(transcript.read_bytes().replace(b'Excuse', b'Exc\x81use'))
    manifest = import_corpus('iemocap6', tmp_path)
    said = {row.sample: row.text for row in manifest.samples}
    assert (said['Ses01F_impro01_F000'], said['Ses01F_impro01_M000']) == (None, 'Yes!')
    (note,) = [note for note in manifest.facts.notes if 'UTF-8' in note]
    assert 'Ses01F_impro01.txt: 1 of 2 lines is not UTF-8' in note
    assert "line 1, 'Ses01F_impro01_F000" in note


def test_one_mark_of_windows_text_in_iemocap_is_read_and_noted(tmp_path):
    layouts.iemocap(tmp_path)
    transcript = tmp_path / 'Session1/dialog/transcriptions/Ses01F_impro01.txt'
    transcript.write_bytes(transcript.read_bytes().replace(b'Excuse me.', b'That\x92s it.'))
    manifest = import_corpus('iemocap6', tmp_path)
    assert {row.sample: row.text for row in manifest.samples}['Ses01F_impro01_F000'] == 'That’s it.'
    (note,) = [note for note in manifest.facts.notes if 'UTF-8' in note]
    assert note.endswith('Ses01F_impro01.txt: 1 line is not UTF-8 and read as Windows-1252 for the marks in it')


@pytest.mark.parametrize('end', [b'\r\n', b'\r'])
def test_other_ends_of_lines_change_nothing_in_iemocap(tmp_path, end):
    layouts.iemocap(tmp_path)
    before = _rows('iemocap6', tmp_path)
    for path in tmp_path.rglob('*.txt'):
        path.write_bytes(path.read_bytes().replace(b'\n', end))
    assert _rows('iemocap6', tmp_path) == before


def test_ratings_of_iemocap_that_cannot_be_read_are_counted(tmp_path):
    layouts.iemocap(tmp_path)
    ratings = tmp_path / 'Session2/dialog/EmoEvaluation/Ses02F_impro01.txt'
    ratings.write_bytes(ratings.read_bytes().replace(b'\t', b';'))
    manifest = import_corpus('iemocap6', tmp_path)
    assert len(manifest) == 3
    (note,) = [note for note in manifest.facts.notes if 'as ratings' in note]
    assert 'Ses02F_impro01.txt: 4 lines left out that cannot be read as ratings, as' in note


def test_iemocap_gives_times_ratings_speaker_and_session_and_leaves_undecided_turns_out(tmp_path):
    layouts.iemocap(tmp_path)
    rows = _rows('iemocap6', tmp_path)
    assert list(rows) == [f'Ses0{n}F_impro01_{turn}' for n in (1, 2) for turn in ('F000', 'M000', 'M001')]
    one = rows['Ses01F_impro01_M000']
    assert (one.category, one.text, one.speaker, one.session, one.fold) == ('excited', 'Yes!', 'Ses01M', 'Ses01', 1)
    assert (one.start_s, one.end_s, one.valence, one.arousal, one.dominance) == (10.01, 11.3925, 4.0, 3.5, 3.0)
    assert rows['Ses01F_impro01_F000'].audio == 'Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav'
    assert one.video == 'Session1/dialog/avi/DivX/Ses01F_impro01.avi'


def test_excitement_counts_as_happy_and_frustration_as_nothing_among_four(tmp_path):
    layouts.iemocap(tmp_path)
    assert {row.category for row in _rows('iemocap4', tmp_path).values()} == {'neutral', 'happy'}


def test_a_half_release_says_which_parts_are_missing(tmp_path):
    layouts.iemocap(tmp_path)
    notes = import_corpus('iemocap4', tmp_path).facts.notes
    assert [f'Session{n} is missing' in notes for n in range(1, 6)] == [False, False, True, True, True]
    assert 'Session2/dialog/transcriptions/Ses02F_impro01.txt is missing' in notes
    assert 'all: 4 samples, 5531 were published' in notes


def test_meld_gives_windows_of_an_episode_and_says_that_dev_is_missing(tmp_path):
    layouts.meld(tmp_path)
    manifest = import_corpus('meld', tmp_path)
    first = manifest.samples[0]
    assert (first.sample, first.text, first.speaker) == ('train_dia0_utt0', 'Well, hi.', 'Ross')
    assert (first.category, first.sentiment, first.split) == ('joy', 1.0, 'train')
    assert (first.recording, first.start_s, first.end_s) == ('s8e21', 976.059, 978.059)
    assert first.video == 'train_splits/dia0_utt0.mp4'
    assert 'dev_sent_emo.csv is missing' in manifest.facts.notes
    assert check_corpus(manifest).can_run == ('text', 'video')


def test_mer2023_takes_an_empty_valence_for_none(tmp_path):
    layouts.mer2023(tmp_path)
    rows = _rows('mer2023', tmp_path)
    assert [(row.category, row.valence, row.split, row.video) for row in rows.values()] == [
        ('happy', 2.5, 'train', 'train/sample_1.avi'),
        ('sad', -3.0, 'train', 'train/sample_2.avi'),
        ('angry', None, 'test3', 'test3/new_1.avi'),
    ]


@pytest.mark.parametrize('year', [2024, 2025, 2026])
def test_candidates_of_a_hidden_test_have_no_category(tmp_path, year):
    getattr(layouts, f'mer{year}')(tmp_path)
    rows = _rows(f'mer{year}', tmp_path)
    assert rows['sample_1'].category is not None
    assert rows['samplenew_1'].category is None
    assert [row.split for row in rows.values()] == ['train'] + ['candidates'] * (len(rows) - 1)


def test_media_and_subtitles_of_mer2025_are_found_by_name(tmp_path):
    layouts.mer2025(tmp_path)
    rows = _rows('mer2025', tmp_path)
    assert rows['sample_1'].video == 'video/sample_1.mp4'
    assert rows['samplenew_1'].audio == 'audio/samplenew_1.wav'
    assert rows['samplenew_1'].frames == 'openface_face/samplenew_1'
    assert rows['samplenew_1'].text == rows['samplenew_1'].chinese == '说 samplenew_1'
    assert rows['samplenew_2'].text is None


def test_placeholders_of_an_archive_of_mer2024_are_not_taken_for_labels(tmp_path):
    archive(
        tmp_path / 'label-6way.npz',
        train_corpus={'a': {'emo': 'sad'}},
        test1_corpus={'b': {'emo': 'neutral'}},
    )
    rows = _rows('mer2024', tmp_path)
    assert (rows['a'].category, rows['b'].category) == ('sad', None)


@pytest.mark.parametrize(('name', 'language'), [('sims', 'chinese'), ('simsv2', 'chinese'), ('mosi', 'english')])
def test_the_release_of_mmsa_gives_text_in_its_language_sentiment_and_clips(tmp_path, name, language):
    layouts.mmsa(tmp_path)
    rows = _rows(name, tmp_path)
    first = rows['video_0001_1']
    assert getattr(first, language) == first.text == '不想'
    assert (first.sentiment, first.split, first.video) == (0.4, 'train', 'Raw/video_0001/0001.mp4')
    assert [row.split for row in rows.values()] == ['train', 'val', 'test']
    assert (first.speaker is not None) == (name == 'mosi')


def test_ravdess_joins_sound_and_film_of_one_utterance_and_prefers_film_with_sound(tmp_path):
    layouts.ravdess(tmp_path)
    rows = _rows('ravdess', tmp_path)
    assert list(rows) == ['01-05-02-01-01-01', '01-01-01-02-02-05']
    angry, neutral = rows.values()
    assert angry.audio == 'Actor_01/03-01-05-02-01-01-01.wav'
    assert angry.video == 'Actor_01/01-01-05-02-01-01-01.mp4'
    assert (angry.category, angry.fold, neutral.category, neutral.fold) == ('angry', 1, 'neutral', 2)
    assert list(_rows('ravdess-song', tmp_path)) == ['02-03-01-01-01-01']


def test_crema_d_has_five_folds_of_actors_and_leaves_four_clips_out_of_them(tmp_path):
    layouts.cremad(tmp_path)
    rows = _rows('cremad', tmp_path)
    held = {name: (row.category, row.speaker, row.fold) for name, row in rows.items()}
    assert held == {
        '1001_DFA_ANG_XX': ('anger', '1001', 1),
        '1019_IEO_HAP_HI': ('happy', '1019', 2),
        '1076_MTI_NEU_XX': ('neutral', '1076', None),
        '1091_TSI_NEU_XX': ('neutral', '1091', 5),
    }


def test_emodb_reads_german_codes_and_says_what_it_left_out(tmp_path):
    layouts.emodb(tmp_path)
    manifest = import_corpus('emodb', tmp_path)
    assert [(row.category, row.fold) for row in manifest.samples] == [('happiness', 1), ('anger', 2), ('neutral', 10)]
    assert 'readme is no name of EmoDB; left out' in manifest.facts.notes


def test_mafw_folds_come_from_its_test_lists(tmp_path):
    layouts.mafw(tmp_path)
    manifest = import_corpus('mafw', tmp_path)
    assert [(row.sample, row.category, row.fold) for row in manifest.samples] == [
        ('00001', 'anger', 1), ('00002', 'contempt', 1), ('00003', 'neutral', 2)
    ]  # fmt: skip
    assert manifest.samples[0].video == 'data/clips/00001.mp4'
    assert manifest.samples[1].frames == 'data/frames/00002'
    assert any('set_3/test.txt is missing' in note for note in manifest.facts.notes)


def test_a_clip_that_two_folds_test_is_refused(tmp_path):
    layouts.mafw(tmp_path)
    write(tmp_path / 'Train & Test Set/single/no_caption/set_2/test.txt', '00001.mp4 anger\n')
    with pytest.raises(TableError, match='00001 in folds 1 and 2'):
        import_corpus('mafw', tmp_path)


def test_a_clip_with_another_label_in_a_train_list_is_refused(tmp_path):
    layouts.mafw(tmp_path)
    write(tmp_path / 'Train & Test Set/single/no_caption/set_2/train.txt', '00001.mp4 fear\n00002.mp4 contempt\n')
    with pytest.raises(TableError, match='00001'):
        import_corpus('mafw', tmp_path)


def test_dfew_counts_labels_from_one(tmp_path):
    layouts.dfew(tmp_path)
    manifest = import_corpus('dfew', tmp_path)
    assert [(row.sample, row.category, row.fold) for row in manifest.samples[::2]] == [
        ('00001', 'happy', 1), ('00003', 'neutral', 3), ('00005', 'surprise', 5)
    ]  # fmt: skip
    assert manifest.samples[2].frames == 'Clip/clip_224x224/00003'


def test_a_train_list_that_lacks_samples_is_noted(tmp_path):
    layouts.dfew(tmp_path)
    write(tmp_path / 'EmoLabel_DataSplit/train(single-labeled)/set_1.csv', 'video_name,label\n1,1\n2,2\n')
    assert 'fold 1: 1 sample in train and test, 3 in neither' in import_corpus('dfew', tmp_path).facts.notes


def test_ferv39k_names_scenes_and_folders_of_pictures(tmp_path):
    layouts.ferv39k(tmp_path)
    rows = _rows('ferv39k', tmp_path)
    first = rows['Action/Angry/0001']
    assert (first.category, first.split, first.session) == ('Angry', 'train', 'Action')
    assert first.frames == '2_ClipsforFaceCrop/Action/Angry/0001'
    assert rows['Action/Fear/0003'].split == 'test'


def test_a_folder_of_your_own_needs_a_table_with_names(tmp_path):
    layouts.own(tmp_path)
    manifest = import_corpus('folder', tmp_path)
    first, second = manifest.samples
    assert (first.audio, first.category, first.valence, first.speaker) == ('a.wav', 'glad', 0.5, 'ann')
    assert (second.video, second.valence) == ('video/b.mp4', None)
    assert manifest.facts.categories == ('cross', 'glad')
    assert any("'note'" in note for note in manifest.facts.notes)


def test_a_point_in_a_name_is_no_extension_of_another_clip(tmp_path):
    for name in ('d1.mp4', 'd1.u1.mp4', 'd1.u2.mp4'):
        write(tmp_path / name)
    write(tmp_path / 'samples.csv', 'sample,emotion\nd1.u1,glad\nd1.u2,cross\nd1.u3,cross\nd1.avi,glad\n')
    samples = import_corpus('folder', tmp_path).samples
    assert [row.video for row in samples] == ['d1.u1.mp4', 'd1.u2.mp4', None, 'd1.mp4']


def test_a_table_without_names_says_how_to_call_them(tmp_path):
    write(tmp_path / 'samples.csv', 'emotion\nglad\n')
    with pytest.raises(TableError, match='sample or name'):
        import_corpus('folder', tmp_path)


def test_a_folder_without_the_release_says_what_was_looked_for(tmp_path):
    write(tmp_path / 'holiday.jpg')
    with pytest.raises(CorpusError, match=r'train_sent_emo\.csv.*holiday'):
        import_corpus('meld', tmp_path)
    with pytest.raises(CorpusError, match='nowhere'):
        import_corpus('meld', tmp_path / 'nowhere')


def test_an_unknown_corpus_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match='iemocap4'):
        corpus_named('imagenet')
    assert corpus_named('CH-SIMS'.replace('CH-', '')).name == 'sims'


class _Hostile:
    def __reduce__(self):
        return (print, ('run',))


def test_a_hostile_label_file_is_refused(tmp_path):
    np.savez(tmp_path / 'label.npz', train_corpus=np.array(_Hostile(), dtype=object))
    with pytest.raises(ArchiveError, match='print'):
        import_corpus('meld', tmp_path)
    assert pickle.dumps(_Hostile())


@pytest.mark.parametrize(
    ('entry', 'said'),
    [({'emo': 7, 'val': -10}, 'number 7'), ({'emo': 'bored'}, 'bored'), ({'val': 1.0}, 'emo'), (3, "'a'")],
)
def test_a_label_that_the_corpus_does_not_know_is_named_with_its_sample(tmp_path, entry, said):
    archive(tmp_path / 'label.npz', train_corpus={'a': entry})
    with pytest.raises(TableError, match="'a'") as raised:
        import_corpus('meld', tmp_path)
    assert said in str(raised.value)


def test_a_sentiment_out_of_range_is_named_with_sample_and_file(tmp_path):
    archive(tmp_path / 'label.npz', train_corpus={'x_1': {'emo': 0, 'val': 3.5}})
    with pytest.raises(TableError, match=r"3\.5 for sample 'x_1' of label\.npz"):
        import_corpus('mosi', tmp_path)


def test_two_transcripts_of_one_wanted_sample_are_refused_and_of_others_are_not(tmp_path):
    archive(tmp_path / 'label.npz', train_corpus={'x_1': {'emo': 0, 'val': 1.0}})
    transcripts(tmp_path, ['x_1', 'other', 'other'])
    assert import_corpus('mosi', tmp_path).samples[0].text == 'say x_1'
    transcripts(tmp_path, ['x_1', 'x_1'])
    with pytest.raises(TableError, match='x_1'):
        import_corpus('mosi', tmp_path)


def test_an_empty_release_is_refused(tmp_path):
    (tmp_path / 'AudioWAV').mkdir()
    with pytest.raises(CorpusError, match='without any'):
        import_corpus('cremad', tmp_path)


def test_every_corpus_of_the_registry_is_complete():
    for corpus in CORPORA.values():
        assert corpus.layouts
        assert corpus.source
        assert corpus.cite or corpus.name == 'folder'


@pytest.mark.parametrize('name', ['iemocap', 'mer2025', 'mafw', 'own'])
def test_what_was_imported_comes_back_from_the_file(tmp_path, name):
    getattr(layouts, name)(tmp_path / 'release')
    manifest = import_corpus({'iemocap': 'iemocap4', 'own': 'folder'}.get(name, name), tmp_path / 'release')
    manifest.save(tmp_path / 'm.parquet')
    assert Manifest.load(tmp_path / 'm.parquet') == manifest


FOLDERS = {
    'iemocap': 'iemocap6', 'meld': 'meld', 'mer2023': 'mer2023', 'mer2024': 'mer2024', 'mer2025': 'mer2025',
    'mer2026': 'mer2026', 'mmsa': 'sims', 'mafw': 'mafw', 'dfew': 'dfew', 'ferv39k': 'ferv39k', 'own': 'folder',
    'msp_improv': 'msp-improv', 'werewolf_xl': 'werewolf-xl', 'affwild2': 'affwild2', 'affwild2_mtl': 'affwild2-mtl',
}  # fmt: skip
"""Made-up layout to the corpus that it is of."""


def _damaged(content: bytes, rng) -> bytes:
    """Cut, with a byte changed, a piece doubled, a line gone, or words for numbers."""
    at = int(rng.integers(0, len(content)))
    lines = content.split(b'\n')
    gone = int(rng.integers(0, len(lines)))
    return [
        lambda: content[:at],
        lambda: content[:at] + bytes([int(rng.integers(0, 256))]) + content[at + 1 :],
        lambda: content + content[at:],
        lambda: b'\n'.join(lines[:gone] + lines[gone + 1 :]),
        lambda: content.replace(b'0', b'x'),
        lambda: content.replace(b',', b'\t').replace(b' ', b',,'),
    ][int(rng.integers(0, 6))]()


@pytest.mark.parametrize('layout', FOLDERS)
def test_damaged_label_files_give_a_manifest_or_a_deliberate_error(tmp_path, rng, layout):
    getattr(layouts, layout)(tmp_path)
    texts = [path for path in sorted(tmp_path.rglob('*')) if path.is_file() and path.stat().st_size]
    refused = 0
    for turn in range(40):
        path = texts[turn % len(texts)]
        whole = path.read_bytes()
        path.write_bytes(_damaged(whole, rng))
        try:
            assert len(import_corpus(FOLDERS[layout], tmp_path))
        except AffektError:
            refused += 1
        path.write_bytes(whole)
    assert refused > 0
