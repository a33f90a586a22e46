"""Reenactment measured: tables of pairs, means with intervals, the files that come out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from portraits import MadeUpLandmarker, made_up_face

from affekt.errors import MediaError, TableError
from affekt.media import write_video
from affekt.reenactment import Consent, Motion, MotionFrame, Pair, compare_reenactment, read_pairs, verify
from affekt.reenactment.benchmark import PairResult, contact_sheet, summarised


def test_pairs_are_read_relative_to_their_table(tmp_path):
    (tmp_path / 'd.mp4').write_bytes(b'x')
    (tmp_path / 'p.jpg').write_bytes(b'x')
    (tmp_path / 'pairs.csv').write_text('driver,portrait\nd.mp4,p.jpg\nd.mp4,\n')
    cross, own = read_pairs(tmp_path / 'pairs.csv')
    assert (cross.portrait, cross.is_self) == (tmp_path / 'p.jpg', False)
    assert (own.driver, own.is_self) == (tmp_path / 'd.mp4', True)
    (tmp_path / 'absent.csv').write_text('driver,portrait\nd.mp4,q.jpg\n')
    with pytest.raises(TableError, match=r'q\.jpg: not there'):
        read_pairs(tmp_path / 'absent.csv')
    (tmp_path / 'other.csv').write_text('a,b\n1,2\n')
    with pytest.raises(TableError, match='columns driver'):
        read_pairs(tmp_path / 'other.csv')


def test_means_are_over_pairs_and_leave_out_pairs_without_a_value(tmp_path):
    own = Pair('a', tmp_path / 'a.mp4')
    results = [
        PairResult(own, {'ssim': 0.8, 'landmark_error': 0.02}, 10, 0),
        PairResult(own, {'ssim': 0.6}, 1000, 0),
        PairResult(Pair('b', tmp_path / 'b.mp4', tmp_path / 'p.jpg'), {'identity_distance': 0.3}, 5, 1),
    ]
    summary = summarised(results)
    assert summary['self']['ssim'].value == pytest.approx(0.7)
    assert summary['self']['ssim'].low < 0.7 < summary['self']['ssim'].high
    assert summary['self']['landmark_error'].value == pytest.approx(0.02)
    assert np.isnan(summary['self']['landmark_error'].low)
    assert list(summary['cross']) == ['identity_distance']


def test_a_sheet_has_a_row_a_pair():
    image = np.zeros((40, 80, 3), np.uint8)
    assert contact_sheet([[image] * 3, [image]]).shape == (320, 480, 3)


def test_a_pair_without_a_face_is_left_out_and_the_others_are_measured(tmp_path, monkeypatch):
    pytest.importorskip('c2pa')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'settings'))
    results = {'good': PairResult(Pair('good', tmp_path / 'a.mp4'), {'ssim': 0.9}, 3, 0)}

    def measured(pair, *_):
        if pair.name not in results:
            raise MediaError(expected='a driver with a face', came=pair.name, todo='choose another')
        return results[pair.name], [np.zeros((40, 40, 3), np.uint8)] * 3

    monkeypatch.setattr('affekt.reenactment.benchmark._measured', measured)
    (tmp_path / 'a.mp4').write_bytes(b'driver')
    pairs = [Pair('wall', tmp_path / 'a.mp4'), Pair('good', tmp_path / 'a.mp4')]
    made = compare_reenactment(pairs, tmp_path / 'out', consent=Consent('nobody'), landmarker=MadeUpLandmarker())
    assert (len(made.pairs), list(made.left_out)) == (1, ['wall'])
    assert json.loads((tmp_path / 'out' / 'result.json').read_text())['left_out'] == made.left_out
    assert 'Left out' in (tmp_path / 'out' / 'page.html').read_text()
    with pytest.raises(MediaError, match='with a face'):
        compare_reenactment(pairs[:1], tmp_path / 'none', consent=Consent('nobody'), landmarker=MadeUpLandmarker())


def test_a_still_person_moved_by_themselves_is_unchanged_and_the_sheet_is_signed(tmp_path, monkeypatch):
    pytest.importorskip('c2pa')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'settings'))
    still = Motion([MotionFrame(at / 5) for at in range(6)], 5.0)
    monkeypatch.setattr('affekt.reenactment.benchmark.motion_of_video', lambda *_, **__: still)
    image = made_up_face()[0]
    driver = write_video(tmp_path / 'still.mp4', [image] * 6, 5.0)
    made = compare_reenactment(
        [Pair('still', driver)], tmp_path / 'out', consent=Consent('nobody'), landmarker=MadeUpLandmarker()
    )
    scores = made.pairs[0].scores
    assert made.pairs[0].frames == 5
    assert scores['psnr_db'] > 35
    assert scores['ssim'] > 0.95
    assert scores['landmark_error'] == 0
    assert scores['expression_distance'] < 0.01
    assert scores['pose_distance_deg'] < 0.1
    assert verify(tmp_path / 'out' / 'sheet.jpg').is_intact
    record = json.loads((tmp_path / 'out' / 'result.json').read_text())
    assert record['summary']['self']['ssim']['mean'] == pytest.approx(scores['ssim'])
    assert record['consent']['portrayed'] == 'nobody'
    assert (tmp_path / 'out' / 'pairs.csv').read_text().startswith('pair,driver,portrait,frames')
    assert 'sheet.jpg' in (tmp_path / 'out' / 'page.html').read_text()
