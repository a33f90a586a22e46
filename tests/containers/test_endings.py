"""One list of endings: every one is of a content that the reader opens, and every such content has one."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from affekt.containers import AUDIO, MEDIA, PICTURES, VIDEO, is_media_name
from affekt.containers.endings import FILM_ENDINGS, SOUND_ENDINGS, endings_of
from affekt.containers.structure import DEMUXERS

LEFT_OUT_BEFORE = ('.gif', '.avif', '.heic', '.heif', '.tif', '.mts', '.m2ts', '.ts', '.mpg')
LEFT_OUT_BEFORE_TOO = ('.3gp', '.flv', '.wmv', '.wma', '.aiff', '.mka')


def test_the_list_holds_what_people_have():
    assert set(MEDIA) >= {'.mp4', '.wav', '.jpg', *LEFT_OUT_BEFORE, *LEFT_OUT_BEFORE_TOO}


def test_no_ending_is_listed_twice_and_all_are_lower_case():
    for first, second in combinations((VIDEO, AUDIO, PICTURES), 2):
        assert not set(first) & set(second)
    assert len(set(MEDIA)) == len(MEDIA)
    assert all(ending == ending.lower() and ending.startswith('.') for ending in MEDIA)


def test_every_demuxer_that_may_run_has_endings_and_every_ending_a_demuxer():
    assert {*FILM_ENDINGS, *SOUND_ENDINGS} == set(DEMUXERS)


def test_moving_pictures_may_have_the_ending_of_photographs():
    assert '.png' in endings_of('apng')
    assert {'.avif', '.heic'} <= set(endings_of('mov,mp4,m4a,3gp,3g2,mj2'))


def test_a_name_is_a_media_name_in_any_case():
    assert is_media_name('Clip.MP4')
    assert is_media_name(Path('folder.txt') / 'photo.HEIC')
    assert not any(is_media_name(name) for name in ('notes.txt', 'mp4', '.mp4', 'a.mp4.part', 'a.mp4/x'))
