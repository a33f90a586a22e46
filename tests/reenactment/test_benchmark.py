"""Reenactment measured: tables of pairs, means with intervals, the files that come out."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from portraits import MadeUpLandmarker, made_up_face

from affekt.cli import main
from affekt.errors import MediaError, RunError, TableError, ValueRangeError, WeightsError
from affekt.media import write_video
from affekt.reenactment import (
    Consent,
    Motion,
    MotionFrame,
    Pair,
    ReenactSettings,
    compare_reenactment,
    read_pairs,
    verify,
)
from affekt.reenactment.benchmark import PairResult, contact_sheet, summarised
from affekt.reenactment.sources import names_apart
from affekt.runs import Run, read_settings, write_atomically


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
    (tmp_path / 'alone.csv').write_text('driver,portrait\nd.mp4,p.jpg\n,p.jpg\n')
    with pytest.raises(TableError, match=r"none for 'p\.jpg'"):
        read_pairs(tmp_path / 'alone.csv')


def test_drivers_of_one_file_name_are_told_apart(tmp_path):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / '0001.mp4').write_text(folder)
    (tmp_path / 'pairs.csv').write_text('driver\na/0001.mp4\nb/0001.mp4\n')
    pairs = read_pairs(tmp_path / 'pairs.csv')
    assert [pair.name for pair in pairs] == ['a/0001.mp4 → itself', 'b/0001.mp4 → itself']
    assert list(names_apart([pair.driver for pair in pairs]).values()) == ['a/0001.mp4', 'b/0001.mp4']
    assert list(names_apart([tmp_path / 'a' / 'x.mp4', tmp_path / 'a' / 'y.mp4']).values()) == ['x.mp4', 'y.mp4']


def test_pairs_of_one_name_that_all_fail_end_with_their_reason(tmp_path):
    (tmp_path / 'd.mp4').write_bytes(b'x')
    pairs = [Pair('one', tmp_path / 'd.mp4'), Pair('one', tmp_path / 'd.mp4')]
    with pytest.raises(MediaError):
        compare_reenactment(pairs, tmp_path / 'out', consent=Consent('agreed'))


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
    few = [PairResult(own, {'ssim': 0.99, 'l1': 0.1}, 5, 0), PairResult(own, {'ssim': 0.7, 'l1': 200.0}, 5, 0)]
    of_few = summarised(few)['self']
    # two pairs say little, and nothing beyond what a metric can be
    assert -1 == of_few['ssim'].low < 0.845 < of_few['ssim'].high < 1
    assert 0 < of_few['l1'].low < 100.05 < of_few['l1'].high == 255


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
        return results[pair.name], [np.zeros((40, 40, 3), np.uint8)] * 3, {}

    monkeypatch.setattr('affekt.reenactment.benchmark._measured', measured)
    (tmp_path / 'a.mp4').write_bytes(b'driver')
    pairs = [Pair('wall', tmp_path / 'a.mp4'), Pair('good', tmp_path / 'a.mp4')]
    made = compare_reenactment(pairs, tmp_path / 'out', consent=Consent('nobody'), landmarker=MadeUpLandmarker())
    assert (len(made.pairs), list(made.left_out)) == (1, ['wall'])
    assert json.loads((tmp_path / 'out' / 'result.json').read_text())['left_out'] == made.left_out
    assert 'Left out' in (tmp_path / 'out' / 'page.html').read_text()
    gone = Pair('gone', tmp_path / 'gone.mp4')
    made = compare_reenactment(
        [gone, *pairs[1:] * 2], tmp_path / 'twice', consent=Consent('nobody'), landmarker=MadeUpLandmarker()
    )
    assert (len(made.pairs), list(made.left_out), made.resumed) == (2, ['gone'], 0)
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
    page = (tmp_path / 'out' / 'page.html').read_text()
    assert 'sheet.jpg' in page
    # a wide table scrolls within its own frame, and the page stays as wide as the window
    assert page.count('<table>') == len(re.findall(r'<div class="scroll" [^>]*><table>', page)) >= 2


@pytest.fixture
def still_pairs(tmp_path, monkeypatch):
    """Three drivers of one made-up person who sits still, a little darker each; a call measures them."""
    pytest.importorskip('c2pa')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'settings'))
    still = Motion([MotionFrame(at / 5) for at in range(6)], 5.0)
    monkeypatch.setattr('affekt.reenactment.benchmark.motion_of_video', lambda *_, **__: still)
    image = made_up_face()[0]
    drivers = [
        write_video(tmp_path / f'd{at}.mp4', [image] * 3 + [np.maximum(image, 45 * at)] * 3, 5.0) for at in range(3)
    ]

    def measured(count=3, **more):
        pairs = [Pair(path.stem, path) for path in drivers[:count]]
        return compare_reenactment(
            pairs, tmp_path / 'out', consent=Consent('nobody'), landmarker=MadeUpLandmarker(), **more
        )

    return measured


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from portraits import MadeUpLandmarker
from affekt.reenactment import Consent, Motion, MotionFrame, Pair, benchmark

benchmark.motion_of_video = lambda *_, **__: Motion([MotionFrame(at / 5) for at in range(6)], 5.0)
benchmark.compare_reenactment(
    [Pair(f'd{at}', Path(f'd{at}.mp4')) for at in range(3)], 'out', consent=Consent('nobody'),
    landmarker=MadeUpLandmarker(),
    progress=lambda stage, done, total: done == 2 and os.kill(os.getpid(), signal.SIGKILL),
)
"""


def test_a_killed_benchmark_goes_on_with_the_pair_that_was_lost(tmp_path, still_pairs, monkeypatch):
    killed = subprocess.run([sys.executable, '-c', KILLED, str(Path(__file__).parent)], cwd=tmp_path, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(RunError, match='--resume'):
        still_pairs()
    with pytest.raises(RunError, match='rate_hz'):
        still_pairs(resume=True, rate_hz=2.0)
    asked = []
    from affekt.reenactment import benchmark

    measure = benchmark._measured
    monkeypatch.setattr(benchmark, '_measured', lambda pair, *given: asked.append(pair.name) or measure(pair, *given))
    made = still_pairs(resume=True)
    assert (asked, made.resumed, len(made.pairs)) == (['d2'], 2, 3)
    resumed = (tmp_path / 'out' / 'pairs.csv').read_text(), (tmp_path / 'out' / 'result.json').read_text()
    (tmp_path / 'out').rename(tmp_path / 'first')
    still_pairs()
    assert resumed[0] == (tmp_path / 'out' / 'pairs.csv').read_text()
    sides = [json.loads(text) for text in (resumed[1], (tmp_path / 'out' / 'result.json').read_text())]
    assert sides[0]['summary'] == sides[1]['summary']
    assert verify(tmp_path / 'first' / 'sheet.jpg').is_intact


def test_a_benchmark_that_networks_paint_is_not_gone_on_with_in_other_numbers(tmp_path, still_pairs, monkeypatch):
    torch = pytest.importorskip('torch')
    from affekt.reenactment import benchmark

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, 'learnt_files', lambda settings: {})
    monkeypatch.setattr(benchmark, '_measured', interrupted)
    painted = ReenactSettings(weights=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        still_pairs(settings=painted)
    with pytest.raises(KeyboardInterrupt):
        still_pairs(settings=painted, resume=True)
    out = tmp_path / 'out'
    with Run(out, read_settings(out)['settings'], resume=True) as run:  # without a result, it may begin anew
        write_atomically(out / 'd0.json', b'{}')
        run.note('d0', 'd0.json')
    monkeypatch.setattr('affekt.diffusion.number_type', lambda device, precision: torch.float64)
    with pytest.raises(RunError, match=r'computes_in.*another --out'):
        still_pairs(settings=painted, resume=True)


def test_a_benchmark_is_guided_by_the_face_model_that_its_settings_name(tmp_path, still_pairs, monkeypatch):
    pytest.importorskip('torch')
    from affekt.reenactment import benchmark

    guided = []

    class Painter:
        def __init__(self, *_, maps, **__):
            guided.append(maps)
            raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, 'learnt_files', lambda settings: {})
    monkeypatch.setattr(benchmark, 'DiffusedEngine', Painter)
    monkeypatch.setattr('affekt.reenactment.making.chosen_maps', lambda model, _, driver, *__, **___: (model, driver))
    flame = tmp_path / 'flame.pkl'
    with pytest.raises(KeyboardInterrupt):
        still_pairs(settings=ReenactSettings(weights=tmp_path, face_model=flame, face_encoders=(flame,)))
    assert guided == [(flame, tmp_path / 'd0.mp4')]


def _mean_colour(path, frames=None):
    """A network whose features are the mean colours of pictures, or of videos of so many frames."""
    onnx = pytest.importorskip('onnx')
    helper = onnx.helper
    shape = ['B', 3, 32, 32] if frames is None else ['B', 3, frames, 32, 32]
    mean = helper.make_node('ReduceMean', ['x'], ['y'], axes=list(range(2, len(shape))), keepdims=0)
    graph = helper.make_graph(
        [mean], 'mean', [helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, ['B', 3])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), path)
    return path


def test_networks_that_the_user_brings_measure_each_picture_and_all_together(tmp_path, still_pairs, same_process):
    torch = pytest.importorskip('torch')
    from affekt.diffusion import PictureNetworks

    drawn = torch.Generator().manual_seed(0)
    sides = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    state = {'scaling_layer.shift': torch.zeros(1, 3, 1, 1)}  # as lpips.LPIPS(net='alex') names what it holds
    for number, (at, (outputs, inputs, side)) in enumerate(sides.items()):
        state[f'net.slice{number + 1}.{at}.weight'] = torch.randn(outputs, inputs, side, side, generator=drawn) / 10
        state[f'net.slice{number + 1}.{at}.bias'] = torch.zeros(outputs)
        state[f'lin{number}.model.1.weight'] = torch.rand(1, outputs, 1, 1, generator=drawn)
        state[f'lins.{number}.model.1.weight'] = state[f'lin{number}.model.1.weight']
    torch.save(state, tmp_path / 'lpips.pth')
    fid, fvd = _mean_colour(tmp_path / 'fid.onnx'), _mean_colour(tmp_path / 'fvd.onnx', 2)
    networks = PictureNetworks(tmp_path / 'lpips.pth', fid, fvd)
    made = still_pairs(networks=networks)
    lpips = [result.scores['lpips'] for result in made.pairs]
    assert lpips[0] < lpips[1] < lpips[2]
    assert made.summary['self']['lpips'].value == pytest.approx(np.mean(lpips))
    # five frames of each driver are measured: 15 pictures, and two stretches of two frames each
    assert {name: count for name, (_, count) in made.sets.items()} == {'fid': 15, 'fvd': 6}
    assert made.sets['fid'][0] > 0
    record = json.loads((tmp_path / 'out' / 'result.json').read_text())
    assert record['sets']['fvd'] == {'value': pytest.approx(made.sets['fvd'][0]), 'samples': 6}
    again = still_pairs(networks=networks, resume=True)
    assert (again.resumed, again.sets) == (3, made.sets)
    with pytest.raises(WeightsError, match=r'network of pictures.* for FID.*fvd\.onnx, of videos'):
        PictureNetworks(fid=fvd)
    with pytest.raises(WeightsError, match=r'lpips: .*gone\.pth'):
        PictureNetworks(lpips=tmp_path / 'gone.pth')
    with pytest.raises(WeightsError, match='alexnet'):
        PictureNetworks(lpips=tmp_path)


def test_the_command_takes_networks_and_goes_on(tmp_path, still_pairs, shared_data, monkeypatch):
    pytest.importorskip('torch')
    monkeypatch.setenv('AFFEKT_MODELS', str(shared_data / 'media'))
    (tmp_path / 'pairs.csv').write_text('driver\nd0.mp4\nd1.mp4\n')
    words = ['bench', 'reenact', '--pairs', str(tmp_path / 'pairs.csv'), '--out', str(tmp_path / 'out'),
             '--portrayed', 'nobody', '--without-identity']  # fmt: skip
    refused = CliRunner().invoke(main, [*words, '--fid', str(tmp_path / 'pairs.csv')])
    assert refused.exit_code == 2
    assert 'an ONNX network from pictures' in ' '.join(refused.output.split())
    words += ['--fid', str(_mean_colour(tmp_path / 'fid.onnx'))]
    words += ['--fvd', str(_mean_colour(tmp_path / 'fvd.onnx', 9))]  # more frames than any driver has
    made = CliRunner().invoke(main, words)
    assert made.exit_code == 0, made.output
    assert '10 samples a side' in made.output
    assert 'FVD unknown: 0 samples a side, where 2 are needed' in made.output
    with pytest.raises(ValueRangeError, match='no personal refiner'):
        still_pairs(settings=ReenactSettings(refiner=tmp_path), resume=True)
    again = CliRunner().invoke(main, [*words, '--resume', '--json'])
    assert json.loads(again.stdout)['resumed'] == 2
    assert json.loads(again.stdout)['sets']['fid']['samples'] == 10
