"""The cameras of this machine, and FFmpeg's arguments to open one on each system."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import MediaError, listed
from affekt.live.settings import StreamSettings

INPUTS: Mapping[str, str] = {'linux': 'v4l2', 'darwin': 'avfoundation', 'win32': 'dshow'}
"""System to the name of its camera input in FFmpeg."""
DEVICES = Path('/dev')
NAMES = Path('/sys/class/video4linux')


@dataclass(frozen=True)
class Camera:
    """One camera: FFmpeg's name and its maker's name."""

    address: str
    name: str

    def __str__(self) -> str:
        return f'{self.address} ({self.name})' if self.name and self.name != self.address else self.address


def cameras(system: str = sys.platform) -> list[Camera]:
    """The cameras of this machine, in the order of their numbers; [] if none can be listed."""
    if system == 'linux':
        devices = sorted(DEVICES.glob('video*'), key=lambda path: (len(path.name), path.name))
        return [Camera(str(path), _name_of(path.name)) for path in devices]
    import av

    try:
        devices = av.enumerate_input_devices(INPUTS.get(system, system))
    except (ValueError, OSError, av.FFmpegError):
        return []
    media = {device.name: getattr(device, 'media_types', ()) for device in devices}
    video_devices = [device for device in devices if not media[device.name] or 'video' in media[device.name]]
    return [Camera(device.name, device.description) for device in video_devices]


def camera_input(
    number: int | str, settings: StreamSettings, system: str = sys.platform
) -> tuple[str, str, dict[str, str]]:
    """PyAV's arguments to open a camera.

    Args:
        number: number of the camera, from 0, or its name on this system.
        settings: size, rate and microphone.
        system: as in `sys.platform`.

    Returns:
        The file, the input format and the options.

    Raises:
        MediaError: no such camera; the error lists the existing ones.
    """
    available = cameras(system)
    options = {}
    if settings.camera_size:
        options['video_size'] = settings.camera_size
    if settings.camera_rate_hz is not None:
        options['framerate'] = f'{settings.camera_rate_hz:g}'
    name = _address(number, available, system)
    if system == 'darwin':
        options.setdefault('framerate', '30')  # AVFoundation accepts only rates of its list, which lacks 29.97
        return f'{name}:{settings.microphone or "none"}', INPUTS[system], options
    if system == 'win32':
        audio_suffix = f':audio={settings.microphone}' if settings.microphone else ''
        return f'video={name}{audio_suffix}', INPUTS[system], options
    return name, INPUTS.get(system, 'v4l2'), options


def microphone_input(settings: StreamSettings, system: str = sys.platform) -> tuple[str, str, dict[str, str]] | None:
    """PyAV's arguments to open a separate microphone; None if it is part of the camera, or not requested."""
    if not settings.microphone or system != 'linux':
        return None
    return settings.microphone, 'alsa', {}


def _address(number: int | str, available: list[Camera], system: str) -> str:
    """The system's name for the camera."""
    addresses = [camera.address for camera in available]
    if isinstance(number, str) and not number.isdecimal():
        if number in addresses or (not available and system != 'linux'):
            return number
    elif system == 'linux':
        if f'{DEVICES}/video{number}' in addresses:
            return f'{DEVICES}/video{number}'
    elif int(number) < len(available):
        return str(number) if system == 'darwin' else addresses[int(number)]
    came = (
        f'there {"is" if len(available) == 1 else "are"} {listed(map(str, available), 9)}' if available else 'no camera'
    )
    raise MediaError(
        expected=f'camera {number}',
        came=came,
        todo='choose one of these' if available else 'connect one, and check that this user may read it',
    )


def _name_of(device: str) -> str:
    try:
        return (NAMES / device / 'name').read_text().strip()
    except OSError:
        return ''
