"""Encoders of clips: what their numbers are, where in time they lie, and what becomes of what a clip lacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')
pytest.importorskip('transformers', reason='transformers is not installed')

import encoder_cases as cases
import torch

from affekt.encoders import EncoderSettings, open_backbone, open_encoder
from affekt.errors import ValueRangeError, WeightsError
from affekt.pretraining import collate, consecutive_windows, cut, evaluation_windows
from affekt.pretraining.windows import Sampling
from affekt.representations import ClipBackbone, used_precision
from affekt.representations.views import View, _audio_weights, views_of
from affekt.testing import check_encoder

CLIP = EncoderSettings(is_for_one_row=True)
LAYERS = EncoderSettings(is_for_one_row=True, each_layer=True)
SLICES = EncoderSettings()


def opened(name, settings, tmp_path):
    return open_encoder(cases.run_folder(tmp_path / name, cases.FORMS[name]), settings)


def published(form, clip):
    """The (D,) feature of a clip by the network's own method, averaged over the windows of the evaluation."""
    model = cases.network(form)
    windows = [cut(clip, window) for window in evaluation_windows(clip)]
    with torch.no_grad():
        features, _ = model.features(*collate(windows, size=form.size)[:2])
    return features.mean(dim=0).numpy()


@pytest.mark.parametrize(('name', 'settings'), [('both', CLIP), ('both', SLICES), ('audio', LAYERS), ('svfap', CLIP)])
def test_encoders_of_clips_keep_the_contract_of_encoders(name, settings, tmp_path):
    check_encoder(opened(name, settings, tmp_path))


@pytest.mark.parametrize('name', ['both', 'video', 'svfap'])
def test_the_feature_of_a_clip_is_the_published_one_averaged_over_two_windows(name, tmp_path):
    clip = cases.noise(100)
    assert len(evaluation_windows(clip)) == 2
    (encoded,) = opened(name, CLIP, tmp_path).encode([clip])
    np.testing.assert_allclose(encoded.rows[0], published(cases.FORMS[name], clip), atol=1e-5)


@pytest.mark.parametrize('name', ['both', 'audio', 'video', 'svfap'])
def test_time_slices_of_one_window_average_to_the_feature_of_the_clip(name, tmp_path):
    clip = cases.noise(64)  # 2.56 s: exactly one window, in which two slices of audio sound with each of video
    (whole,) = opened(name, CLIP, tmp_path).encode([clip])
    (slices,) = opened(name, SLICES, tmp_path).encode([clip])
    assert len(slices.rows) == {'both': 8, 'audio': 16, 'video': 8, 'svfap': 2}[name]
    np.testing.assert_allclose(slices.rows.mean(axis=0), whole.rows[0], atol=1e-5)


def test_layers_weighed_as_the_checkpoint_does_are_the_feature_of_the_clip(tmp_path):
    form, clip = cases.BOTH, cases.noise(64)
    (layers,) = opened('both', LAYERS, tmp_path).encode([clip])
    (whole,) = opened('both', CLIP, tmp_path).encode([clip])
    model, width, depth = cases.network(form), form.width, form.depth
    video, audio, fused = np.split(layers.rows[0], [depth * width, 2 * depth * width])
    for part, weights, at in ((video, model.video_layer_weights, 0), (audio, model.audio_layer_weights, 1)):
        weighed = weights.softmax(dim=0).detach().numpy() @ part.reshape(depth, width)
        np.testing.assert_allclose(weighed, whole.rows[0, at * width : (at + 1) * width], atol=1e-5)
    np.testing.assert_allclose(fused, whole.rows[0, 2 * width :], atol=1e-5)


@pytest.mark.parametrize('settings', [CLIP, SLICES, LAYERS])
def test_what_a_clip_lacks_is_zero_and_named_and_changes_nothing_else(settings, tmp_path):
    encoder, clip = opened('both', settings, tmp_path), cases.noise(64)
    without_sound, without_pictures, whole = encoder.encode([cases.deaf(clip), cases.blind(clip), clip])
    assert whole.lacking == ''
    assert without_sound.lacking == 'no audio (the file has no audio)'
    assert without_pictures.lacking == 'no video (no face in 9 frames)'
    width = cases.BOTH.width * (cases.BOTH.depth if settings.each_layer else 1)
    # the encoders know nothing of each other: their columns are those of the whole clip
    assert not without_sound.rows[:, width : 2 * width].any()
    assert not without_pictures.rows[:, :width].any()
    np.testing.assert_allclose(without_sound.rows[:, :width], whole.rows[:, :width], atol=1e-5)
    if settings is not SLICES:
        np.testing.assert_allclose(
            without_pictures.rows[:, width : 2 * width], whole.rows[:, width : 2 * width], atol=1e-5
        )


def test_a_clip_with_nothing_that_a_checkpoint_reads_has_no_features(tmp_path):
    clip = cases.noise(20)
    assert opened('audio', CLIP, tmp_path).encode([cases.deaf(clip)]) == ['no audio (the file has no audio)']
    assert opened('svfap', SLICES, tmp_path).encode([cases.blind(clip)]) == ['no video (no face in 9 frames)']


def test_consecutive_windows_show_each_slice_once_and_the_last_ends_with_the_clip():
    clip = cases.noise(40)  # frames 0, 4, … 36: ten, in slices of two, four to a window
    windows = consecutive_windows(clip, Sampling(4, 4))
    assert [window.frames.tolist() for window, _ in windows] == [[0, 4, 8, 12], [16, 20, 24, 28], [24, 28, 32, 36]]
    assert [list(slices) for _, slices in windows] == [[0, 1], [0, 1], [1]]
    # five frames: three of them, the last one repeated to fill the second slice
    ((window, slices),) = consecutive_windows(cases.noise(9), Sampling(4, 4))
    assert (window.frames.tolist(), list(slices)) == ([0, 4, 8, 8], [0, 1])
    # 3 s of sound are 2.56 s and 0.44 s, which is three slices of 0.16 s
    heard = consecutive_windows(cases.blind(cases.noise(75)))
    assert [(window.sound.start, window.sound.stop, len(slices)) for window, slices in heard] == [
        (0, 40_960, 16), (40_960, 48_000, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(('frames', 'rate_hz'), [(150, 25.0), (333, 30.0), (7, 10.0), (1, 25.0)])
def test_rows_of_a_long_clip_lie_evenly_in_time_to_its_end(frames, rate_hz, tmp_path):
    clip = cases.noise(frames, rate_hz=rate_hz)
    (encoded,) = opened('both', SLICES, tmp_path).encode([clip])
    read = -(-frames // 4)
    assert len(encoded.rows) == -(-read // 2)
    # each row stands for two frames, four apart
    firsts = np.arange(0, read, 2) * 4
    lasts = np.minimum(firsts + 4, (read - 1) * 4)
    np.testing.assert_allclose(encoded.times, (firsts + lasts) / 2 / rate_hz)


def test_audio_is_put_beside_the_pictures_that_it_sounds_with():
    # 16 frames at 25 a second, every fourth: a slice of video lasts 0.32 s, one of audio 0.16 s
    (view,) = views_of(cases.noise(64), cases.BOTH, is_whole=False)
    shares = _audio_weights(view, 2, 16).numpy()
    np.testing.assert_allclose(shares, np.repeat(np.eye(8) / 2, 2, axis=1), atol=1e-9)
    # where sound stops after half of the clip, later pictures are beside the last of it
    half = View(replace(view.clip, sound=view.clip.sound[:20_480]), 0.0, view.slices)
    shares = _audio_weights(half, 2, 16).numpy()
    assert shares[4:, 7].tolist() == [1.0] * 4
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    # twice as slow a clip: each slice of video lasts four of audio
    slow = View(replace(view.clip, times_s=view.clip.times_s * 2), 0.0, view.slices)
    np.testing.assert_allclose(_audio_weights(slow, 2, 16).numpy()[0, :5], [0.25, 0.25, 0.25, 0.25, 0.0], atol=1e-9)


def test_an_encoder_that_is_trained_gives_the_frozen_feature_of_each_window(tmp_path):
    folder, clip = cases.run_folder(tmp_path / 'both', cases.BOTH), cases.noise(100)
    backbone = open_backbone(folder)
    rows = torch.from_numpy(backbone.prepare(clip))[None]
    states, counted = backbone(rows, torch.ones(1, 2, dtype=torch.bool))
    assert counted.shape == (1, 2)
    np.testing.assert_allclose(states[0].mean(dim=0).detach().numpy(), published(cases.BOTH, clip), atol=1e-5)
    states.square().sum().backward()
    without = [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
    assert without == []


def test_another_file_than_a_checkpoint_of_these_networks_is_refused(tmp_path):
    odd = tmp_path / 'odd.safetensors'
    cases.save_tensors(odd, {'weight': torch.zeros(3)}, {})
    with pytest.raises(WeightsError, match='HiCMAE or SVFAP'):
        open_encoder(odd, CLIP)


def test_each_layer_of_time_slices_is_refused(tmp_path):
    with pytest.raises(ValueRangeError, match='each layer'):
        opened('audio', EncoderSettings(each_layer=True), tmp_path)


def test_sound_that_is_silent_where_it_is_read_has_its_reason(tmp_path):
    clip = cases.noise(64)
    quiet = replace(clip, sound=np.zeros_like(clip.sound))
    (encoded,) = opened('both', CLIP, tmp_path).encode([quiet])
    assert encoded.lacking == 'no audio (silent where it is read)'


def test_half_precision_is_taken_only_where_the_processor_computes_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'avx2': True}, raising=False)
    assert [used_precision('cpu', wanted) for wanted in ('auto', 'bfloat16', 'float32')] == ['float32'] * 3
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'avx512_bf16': True}, raising=False)
    assert [used_precision('cpu', wanted) for wanted in ('auto', 'bfloat16')] == ['bfloat16'] * 2


def test_a_precision_that_the_processor_lacks_is_replaced_with_a_warning_and_auto_without_one(
    monkeypatch, tmp_path, caplog
):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'avx2': True}, raising=False)
    opened('audio', replace(CLIP, precision='auto'), tmp_path / 'auto')
    assert not caplog.messages
    opened('audio', replace(CLIP, precision='bfloat16'), tmp_path / 'half')
    assert caplog.messages == ['cpu does not support bfloat16 natively: float32 is used']


def test_a_network_says_the_precision_that_it_really_runs_in(monkeypatch, tmp_path):
    folder = cases.run_folder(tmp_path / 'audio', cases.AUDIO)
    monkeypatch.setattr(torch.cpu, 'get_capabilities', dict, raising=False)
    settings = EncoderSettings(is_for_one_row=True, precision='auto')
    assert ClipBackbone.about(folder, settings).facts['precision'] == 'float32'
    assert next(open_encoder(folder, settings).parameters()).dtype == torch.float32
