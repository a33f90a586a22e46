"""Finds clips that browsers cannot play before a rater meets one.

Codecs decide, not the extension: an mp4 may hold HEVC, of which most browsers play the audio over a black image without
an error. Some browsers play more codecs than these, so that a clip is only reported, with the command that converts it,
and the page checks again.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from affekt.annotation.clips import CONVERTED, Clip
from affekt.errors import AffektError, short

PICTURE_CODECS = frozenset({'h264', 'vp8', 'vp9', 'av1', 'libdav1d', 'libaom-av1', 'libvpx', 'libvpx-vp9'})
SOUND_CODECS = frozenset(
    {'aac', 'mp3', 'mp3float', 'opus', 'libopus', 'vorbis', 'libvorbis', 'flac', 'pcm_u8', 'pcm_s16le', 'pcm_s24le',
     'pcm_s32le', 'pcm_f32le', 'pcm_alaw', 'pcm_mulaw'}
)  # fmt: skip
STILL_CODECS = frozenset({'jpeg', 'png', 'webp', 'gif', 'avif', 'mjpeg'})
EIGHT_BITS = frozenset({'yuv420p', 'yuvj420p'})
"""Pixel formats in which every browser plays H.264; in others most show nothing."""
CONTAINERS = ('mov,mp4', 'matroska,webm', 'wav', 'mp3', 'ogg', 'flac', 'aac')
MOST_NAMED = 5


def playable_clips(clips: Mapping[str, Clip]) -> tuple[dict[str, Clip], tuple[str, ...]]:
    """The clips with their type corrected by their contents, and notes on those that browsers may not play.

    A video file that contains only audio becomes an audio clip, and vice versa.
    """
    from affekt.media import Recording

    corrected, doubtful, unreadable = dict(clips), {}, {}
    by_path: dict[Path, Clip] = {}
    for key, clip in clips.items():
        if clip.path not in by_path:
            by_path[clip.path] = clip
            try:
                recording = Recording.open(clip.path)
            except AffektError as error:
                unreadable[clip.path] = str(short(error.came, 120))
                continue
            by_path[clip.path] = _with_type(clip, recording.kind)
            if reason := _hindrance(recording):
                doubtful[clip.path] = reason
        corrected[key] = by_path[clip.path]
    notes = []
    if doubtful:
        first = next(iter(doubtful))
        notes.append(
            f'most browsers do not play {len(doubtful)} of the clips, so that raters can only skip them: '
            f'{_listed(doubtful)}; convert each, for example: {_command(first, by_path[first].kind)}'
        )
    if unreadable:
        notes.append(f'{len(unreadable)} of the clips cannot be read: {_listed(unreadable)}')
    return corrected, tuple(notes)


def _with_type(clip: Clip, content: str) -> Clip:
    """The clip with the type that matches its contents: video, audio or image."""
    if content == clip.kind or 'image' in (content, clip.kind):
        return clip
    return replace(clip, content_type=f'{content}/{clip.content_type.split("/")[1]}')


def _hindrance(recording: object) -> str:
    """Why browsers may not play a recording; '' if they do."""
    video, container = recording.video, recording.container  # type: ignore[attr-defined]
    if recording.kind == 'image':  # type: ignore[attr-defined]
        return '' if video.codec in STILL_CODECS else f'a {video.codec} image'
    if container == 'gif':  # animated, but shown in an image element
        return ''
    if not container.startswith(CONTAINERS):
        return f'a file of kind {container.split(",")[0]}'
    if video is not None and video.codec not in PICTURE_CODECS:
        return f'{video.codec} video'
    if video is not None and video.codec == 'h264' and video.pixel_format not in EIGHT_BITS:
        return f'h264 video of {video.pixel_format}'
    codecs = [stream.codec for stream in recording.audio]  # type: ignore[attr-defined]
    return f'{codecs[0]} audio' if codecs and codecs[0] not in SOUND_CODECS else ''


def _listed(reasons: Mapping[Path, str]) -> str:
    named = [f'{path.name} ({reason})' for path, reason in list(reasons.items())[:MOST_NAMED]]
    return ', '.join(named) + (', …' if len(reasons) > MOST_NAMED else '')


def _command(path: Path, content: str) -> str:
    """The command that converts a clip; its output is used for the clip, and the original stays."""
    suffix, options = {
        'audio': ('.mp3', ''),
        'image': ('.png', ''),
        'video': ('.mp4', '-c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart '),
    }[content]
    out = path.with_name(f'{path.stem}{CONVERTED}{suffix}')
    return f'ffmpeg -i {shlex.quote(str(path))} {options}{shlex.quote(str(out))}'
