"""Answers for one clip: from a folder, a model, a recording, with whatever it lacks."""

from __future__ import annotations

import json
import logging
import wave
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_clips import FACES, SMALL, clip

from affekt.clips import Clip
from affekt.errors import MediaError, StorageError, UnknownNameError, WeightsError
from affekt.pretraining import HicmaeClassifier, SvfapClassifier, TunedModel, predict, predict_proba


def network(form=SMALL, outputs: int = 3):
    torch.manual_seed(0)
    return (SvfapClassifier if form is FACES else HicmaeClassifier)(form, outputs).eval()


def write_tone(path, pitch_hz: float = 300.0, seconds: float = 1.0):
    tone = 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(int(16_000 * seconds)) / 16_000)
    with wave.open(str(path), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((tone * 32767).astype('<i2').tobytes())


def test_views_are_averaged_after_the_softmax_and_repeating_them_changes_nothing():
    model, long = network(), clip('long', 0.4, 500, frames=40)
    distinct = predict_proba(model, [long], stride=1)
    untimed = replace(long, times_s=None)
    assert np.allclose(
        predict_proba(model, [untimed], stride=1), predict_proba(model, [untimed], stride=1, views='published')
    )
    from affekt.pretraining.predicting import batch_of, inputs_of, views_of

    views = views_of(long, SMALL, stride=1)
    assert len(views) == 2
    with torch.no_grad():
        by_hand = model(*inputs_of(batch_of(views, SMALL))).softmax(dim=1).mean(dim=0).numpy()
    assert np.allclose(distinct[0], by_hand, atol=1e-6)
    with pytest.raises(UnknownNameError):
        predict_proba(model, [long], views='many')


def test_the_order_and_number_of_clips_change_no_answer():
    model = network()
    clips = [clip(str(at), at / 5, 300 + 200 * at, seed=at, frames=4 + 5 * at) for at in range(4)]
    clips[1] = replace(clips[1], sound=None)
    together = predict_proba(model, clips, stride=1, batch_size=3)
    alone = [predict_proba(model, [each], stride=1)[0] for each in clips]
    assert np.allclose(together, alone, atol=1e-5)
    assert predict_proba(model, [], stride=1).shape == (0, 3)
    late = [lambda each=each: each for each in clips]
    assert np.array_equal(predict_proba(model, late, stride=1, batch_size=3), together)


def test_a_model_is_left_in_its_mode():
    model = network().train()
    predict_proba(model, [clip('a', 0.5, 300)], stride=1)
    assert model.training


@pytest.mark.parametrize('form', [SMALL, FACES, replace(SMALL, modalities=('audio',))])
def test_a_saved_model_answers_as_before_and_names_its_answers(tmp_path, form):
    tuned = TunedModel(network(form), ('sad', 'calm', 'glad'), stride=1, crop='none')
    tuned.save(tmp_path)
    again = TunedModel.open(tmp_path)
    answers = predict(tmp_path, clip('a', 0.5, 300))
    assert answers == tuned.answers(clip('a', 0.5, 300)) == again.answers(clip('a', 0.5, 300))
    assert list(answers) == ['sad', 'calm', 'glad']
    assert sum(answers.values()) == pytest.approx(1)
    assert (again.stride, again.crop, again.is_classes) == (1, 'none', True)
    bare = predict(tuned.model, clip('a', 0.5, 300, frames=40))
    assert bare.shape == (3,)


def test_a_folder_with_weights_has_labels(tmp_path, monkeypatch):
    def torn(*_: object) -> None:
        raise StorageError(expected='room', came='none', todo='make some')

    monkeypatch.setattr('affekt.pretraining.predicting.save_tensors', torn)
    with pytest.raises(StorageError):
        TunedModel(network(), ('sad', 'calm', 'glad')).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['labels.json']


def test_numbers_are_answered_by_name(tmp_path):
    TunedModel(network(outputs=2), ('valence', 'arousal'), is_classes=False, stride=1).save(tmp_path)
    answers = predict(tmp_path, clip('a', 0.5, 300))
    assert list(answers) == ['valence', 'arousal']
    assert sum(answers.values()) != pytest.approx(1)


def test_a_recording_without_pictures_is_answered_from_its_sound_and_that_is_said(tmp_path, caplog):
    write_tone(tmp_path / 'voice.wav')
    tuned = TunedModel(network(), ('sad', 'calm', 'glad'))
    with caplog.at_level(logging.WARNING, 'affekt'):
        answers = predict(tuned, tmp_path / 'voice.wav')
    assert 'voice is answered without video (video: the file has no video)' in caplog.text
    heard = TunedModel(tuned.model, tuned.names).answers(replace(clip('a', 0, 0), frames=None, times_s=None))
    assert set(answers) == set(heard)


def test_a_recording_without_anything_that_is_read_is_refused(tmp_path):
    write_tone(tmp_path / 'voice.wav')
    with pytest.raises(MediaError, match='no video'):
        predict(TunedModel(network(FACES), ('a', 'b', 'c')), tmp_path / 'voice.wav')
    with pytest.raises(MediaError):
        predict(TunedModel(network(), ('a', 'b', 'c')), tmp_path / 'absent.mp4')
    empty = Clip('street', None, None, None, {'video': 'no face in 75 frames'})
    for form, said in ((FACES, 'video in street'), (SMALL, 'video or audio in street')):
        with pytest.raises(MediaError, match=f'expected {said}; got video: no face in 75 frames'):
            predict_proba(network(form), [empty])


def test_a_word_in_the_middle_of_a_long_pause_is_read_though_no_usual_window_hears_it():
    word = np.random.default_rng(0).normal(0, 0.1, 3_000).astype(np.float32)
    sound = np.zeros(160_000, np.float32)  # ten seconds: the windows of 2.56 s lie at both ends
    sound[80_000:83_000] = word
    model = network(replace(SMALL, modalities=('audio',)))
    spoken = Clip('late', None, None, sound)
    answers = predict_proba(model, [spoken])
    # of stretches of 40,960 samples one after another, the second holds the word
    assert np.array_equal(answers, predict_proba(model, [replace(spoken, sound=sound[40_960:81_920])]))
    assert np.array_equal(answers, predict_proba(model, [spoken], views='published'))


def test_sound_that_is_mute_throughout_is_refused_with_its_name():
    model = network(replace(SMALL, modalities=('audio',)))
    with pytest.raises(MediaError, match='mute'):
        predict_proba(model, [Clip('mute', None, None, np.zeros(160_000, np.float32))])


def test_other_folders_and_files_are_refused(tmp_path):
    with pytest.raises(WeightsError):
        TunedModel.open(tmp_path)
    from affekt.nn import save_tensors

    save_tensors(tmp_path / 'weights.safetensors', {'head.weight': torch.zeros(2, 2)}, {'notes': '{"form": 3}'})
    with pytest.raises(WeightsError, match='fine-tuned model'):
        TunedModel.open(tmp_path)
    with pytest.raises(WeightsError, match='fine-tuned model'):
        predict(tmp_path, clip('a', 0.5, 300))


@pytest.mark.parametrize(
    ('changed', 'came'),
    [
        ({'heads': 7}, 'width 32, 7 heads instead of a width that is a multiple of heads'),
        ({'modalities': ['smell']}, r"\('smell',\) instead of modalities \('video', 'audio'\)"),
        ({'width': 128}, r'instead of .* of shape \['),
        (None, 'weights without a note of family'),
    ],
)
def test_what_is_wrong_with_a_damaged_model_is_told_with_what_it_should_be(tmp_path, changed, came):
    from affekt.nn import read_tensors, save_tensors

    TunedModel(network(), ('a', 'b', 'c')).save(tmp_path)
    tensors, header = read_tensors(tmp_path / 'weights.safetensors')
    notes = json.loads(header['notes'])
    notes = {} if changed is None else {**notes, 'form': {**notes['form'], **changed}}
    save_tensors(tmp_path / 'weights.safetensors', tensors, {'notes': json.dumps(notes)})
    with pytest.raises(WeightsError, match=came):
        TunedModel.open(tmp_path)
