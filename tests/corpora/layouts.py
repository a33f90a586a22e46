"""Small made-up folders in the layouts of the releases that cannot be shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write(path: Path, text: str = 'media') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')


def archive(path: Path, **corpora: dict[str, dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{key: np.array(held, dtype=object) for key, held in corpora.items()})


def transcripts(folder: Path, names: list[str], file: str = 'transcription-engchi-polish.csv') -> None:
    rows = [f'{name},说 {name},say {name}' for name in names]
    write(folder / file, '\n'.join(['name,chinese,english', *rows]) + '\n')


def iemocap(folder: Path) -> None:
    """Two of five sessions, one dialogue each; the second lacks its transcript."""
    for session in (1, 2):
        at, dialogue = folder / f'Session{session}', f'Ses0{session}F_impro01'
        lines = [
            '% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]',
            f'[6.2901 - 8.2357]\t{dialogue}_F000\tneu\t[2.5000, 2.5000, 2.5000]',
            'C-E2:\tNeutral;\t()',
            f'[10.0100 - 11.3925]\t{dialogue}_M000\texc\t[4.0000, 3.5000, 3.0000]',
            f'[12.0000 - 13.0000]\t{dialogue}_F001\txxx\t[3.0000, 3.0000, 3.0000]',
            f'[14.0000 - 15.5000]\t{dialogue}_M001\tfru\t[2.0000, 4.0000, 3.0000]',
        ]
        write(at / 'dialog' / 'EmoEvaluation' / f'{dialogue}.txt', '\n'.join(lines))
        write(at / 'sentences' / 'wav' / dialogue / f'{dialogue}_F000.wav')
        write(at / 'dialog' / 'avi' / 'DivX' / f'{dialogue}.avi')
    said = [
        f'Ses01F_impro01_{turn} [006.29-008.23]: {text}' for turn, text in (('F000', 'Excuse me.'), ('M000', 'Yes!'))
    ]
    write(folder / 'Session1' / 'dialog' / 'transcriptions' / 'Ses01F_impro01.txt', '\n'.join(said))


def meld(folder: Path) -> None:
    """The train and test tables, no dev; one clip."""
    head = 'Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime'
    for split, dialogue in (('train', 0), ('test', 7)):
        rows = [
            f'1,"Well, hi.",Ross,joy,positive,{dialogue},0,8,21,"00:16:16,059","00:16:18,059"',
            f'2,No.,Monica,anger,negative,{dialogue},1,8,21,"00:16:19,000","00:16:20,500"',
        ]
        write(folder / f'{split}_sent_emo.csv', '\n'.join([head, *rows]) + '\n')
    write(folder / 'train_splits' / 'dia0_utt0.mp4')


def mer2023(folder: Path) -> None:
    write(folder / 'train-label.csv', 'name,discrete,valence\nsample_1,happy,2.5\nsample_2,sad,-3\n')
    write(folder / 'test3-label.csv', 'name,discrete,valence\nnew_1,angry,\n')
    for path in ('train/sample_1.avi', 'train/sample_2.avi', 'test3/new_1.avi'):
        write(folder / path)


def mer2024(folder: Path) -> None:
    write(folder / 'label-disdim.csv', 'name,discrete,valence\nsample_1,worried,-1\n')
    write(folder / 'video-labeled' / 'sample_1.mp4')
    write(folder / 'video-unlabeled-with-test2noise' / 'samplenew_1.mp4')


def mer2025(folder: Path) -> None:
    write(folder / 'track1_train_disdim.csv', 'name,discrete,valence\nsample_1,worried,-1\n')
    write(folder / 'track_all_candidates.csv', 'name\nsamplenew_1\nsamplenew_2\n')
    write(folder / 'video' / 'sample_1.mp4')
    write(folder / 'audio' / 'samplenew_1.wav')
    (folder / 'openface_face' / 'samplenew_1').mkdir(parents=True)
    transcripts(folder, ['sample_1', 'samplenew_1'], 'subtitle_chieng.csv')


def mer2026(folder: Path) -> None:
    write(folder / 'track1_train.csv', 'name,discrete\nsample_1,surprise\n')
    write(folder / 'track1_track2_candidate.csv', 'name\nsamplenew_1\n')


def mmsa(folder: Path, video: str = 'video_0001') -> None:
    rows = [f'{video},1,不想,0.4,0.2,0.2,0.2,Positive,train', f'{video},2,走,-0.6,0,0,0,Negative,valid']
    rows += [f'{video},3,好,0,0,0,0,Neutral,test']
    write(
        folder / 'label.csv', '\n'.join(['video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode', *rows])
    )
    write(folder / 'Raw' / video / '0001.mp4')


def ravdess(folder: Path) -> None:
    """Actor 1 with sound and film, actor 5 with sound only, a song and a stray file."""
    for name in ('03-01-05-02-01-01-01.wav', '01-01-05-02-01-01-01.mp4', '02-01-05-02-01-01-01.mp4'):
        write(folder / 'Actor_01' / name)
    write(folder / 'Actor_01' / '03-02-03-01-01-01-01.wav')
    write(folder / 'Actor_05' / '03-01-01-01-02-02-05.wav')
    write(folder / 'Actor_05' / 'notes.wav')


def cremad(folder: Path) -> None:
    for name in ('1001_DFA_ANG_XX', '1019_IEO_HAP_HI', '1091_TSI_NEU_XX', '1076_MTI_NEU_XX'):
        write(folder / 'AudioWAV' / f'{name}.wav')


def emodb(folder: Path) -> None:
    for name in ('03a01Fa', '08b10Wc', '16a02Nb', 'readme'):
        write(folder / 'wav' / f'{name}.wav')


def mafw(folder: Path) -> None:
    """Two of five folds, three clips."""
    sets = folder / 'Train & Test Set' / 'single' / 'no_caption'
    write(sets / 'set_1' / 'test.txt', '00001.mp4 anger\n00002.mp4 contempt\n')
    write(sets / 'set_1' / 'train.txt', '00003.mp4 neutral\n')
    write(sets / 'set_2' / 'test.txt', '00003.mp4 neutral\n')
    write(sets / 'set_2' / 'train.txt', '00001.mp4 anger\n00002.mp4 contempt\n')
    write(folder / 'data' / 'clips' / '00001.mp4')
    (folder / 'data' / 'frames' / '00002').mkdir(parents=True)


def dfew(folder: Path) -> None:
    for fold in range(1, 6):
        tested, trained = f'{fold},{fold}', [f'{other},{other}' for other in range(1, 6) if other != fold]
        for side, rows in (('test', [tested]), ('train', trained)):
            path = folder / 'EmoLabel_DataSplit' / f'{side}(single-labeled)' / f'set_{fold}.csv'
            write(path, '\n'.join(['video_name,label', *rows]) + '\n')
    (folder / 'Clip' / 'clip_224x224' / '00003').mkdir(parents=True)


def ferv39k(folder: Path) -> None:
    sets = folder / '4_setups' / 'All_scenes'
    write(sets / 'train_All.csv', 'Action/Angry/0001 Angry\nDaily_Life/Happy/0002 Happy\n')
    write(sets / 'test_All.csv', 'Action/Fear/0003 Fear\n')
    (folder / '2_ClipsforFaceCrop' / 'Action' / 'Angry' / '0001').mkdir(parents=True)


def msp_improv(folder: Path) -> None:
    """Two sessions; a turn without consensus, one rated by nobody for dominance, and the raters' own lines."""
    turns = [
        'UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.571429; V:3.000000; D:2.857143 ; N:3.000000;',
        '\tWORKER00000059; Neutral; A:3.000000; V:3.000000; D:3.000000; N:3.000000;',
        '',
        'UTD-IMPROV-S20H-M06-T-MM01.avi; H; A:3.000000; V:4.500000; D:nan ; N:4.000000;',
        '',
        'UTD-IMPROV-S20H-M06-R-MM01.avi; X; A:3.000000; V:3.000000; D:3.000000 ; N:4.000000;',
    ]
    write(folder / 'Evalution.txt', '\n'.join(turns) + '\n')
    write(folder / 'Audio' / 'session1' / 'S01A' / 'P' / 'MSP-IMPROV-S01A-F01-P-FM01.wav')
    write(folder / 'Video' / 'session6' / 'S20H' / 'T' / 'UTD-IMPROV-S20H-M06-T-MM01.avi')


def folds_listed(folder: Path, folds: list[list[str]]) -> None:
    """The split lists of HiCMAE: each fold's lines are tested once and learnt from in the other folds."""
    for at, tested in enumerate(folds, 1):
        write(folder / f'split{at:02d}' / 'test.csv', '\n'.join(tested) + '\n')
        learnt = [line for other, lines in enumerate(folds, 1) if other != at for line in lines]
        write(folder / f'split{at:02d}' / 'train.csv', '\n'.join(learnt) + '\n')


def werewolf_xl(folder: Path) -> None:
    """Two folds of one clip, with the first one's pictures and sound."""
    at = '/share/home/someone/Werewolf-XL'
    folds_listed(
        folder,
        [
            [f'{at}/openface/01_02_366/01_02_366_aligned {at}/audio_16k/01_02_366.wav 0.5 0.75 0.0'],
            [f'{at}/openface/07_03_78/07_03_78_aligned {at}/audio_16k/07_03_78.wav 0.5 1.0 -0.5'],
        ],
    )
    (folder / 'openface' / '01_02_366' / '01_02_366_aligned').mkdir(parents=True)
    write(folder / 'audio_16k' / '01_02_366.wav')


def own(folder: Path) -> None:
    write(folder / 'samples.csv', 'file,emotion,valence,actor,note\na.wav,glad,0.5,ann,x\nb,cross,,ben,\n')
    write(folder / 'a.wav')
    write(folder / 'video' / 'b.mp4')


def affwild2(folder: Path) -> None:
    """Three tasks of two videos, one of them filmed with two people; the crops of one, and no video file."""
    headers = {
        'VA_Estimation_Challenge': ('valence,arousal', '0.25,-0.5'),
        'EXPR_Recognition_Challenge': ('Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other', '4'),
        'AU_Detection_Challenge': (
            'AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26', ','.join('010101010101'),
        ),
    }  # fmt: skip
    for task, (header, line) in headers.items():
        for part, video in (('Train_Set', 'film1_left'), ('Train_Set', 'film1_right'), ('Validation_Set', 'film2')):
            lines = '\n'.join([header, *[line] * 4])
            write(folder / '6th ABAW Annotations' / task / part / f'{video}.txt', lines + '\n')
    for frame in (1, 2, 4):
        write(folder / 'cropped_aligned' / 'film2' / f'{frame:05d}.jpg')


def affwild2_mtl(folder: Path) -> None:
    """Three pictures of one video, out of order."""
    units = ','.join('010101010101')
    rows = [f'film1/{frame:05d}.jpg,0.25,-0.5,4,{units}' for frame in (3, 1, 2)]
    write(folder / 'MTL_Challenge' / 'train_set.txt', '\n'.join(['image,valence,arousal,expression,aus', *rows]))
