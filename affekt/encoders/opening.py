"""Opening a model folder or an exported file as an encoder, frozen for features or trainable.

Nothing is downloaded, and only plain tensors are unpickled; torch is imported when a folder is opened, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from affekt.encoders.encoder import Encoder, EncoderSettings, Layers
from affekt.encoders.exported import EXPORTED
from affekt.encoders.families import CLIPS, FAMILIES, Family, family_of
from affekt.encoders.folders import open_config, read_config, require_extra
from affekt.encoders.model_files import checkpoint_at, model_files
from affekt.errors import UnknownNameError, WeightsError, listed

if TYPE_CHECKING:
    from affekt.encoders.backbones import Backbone


def family_at(path: Path) -> Family:
    """The family of a path: that of a checkpoint of an encoder of clips, or of a folder of transformers.

    Raises:
        WeightsError: the path is neither.
    """
    if checkpoint_at(path) is not None:
        return FAMILIES[CLIPS]
    return family_of(str(read_config(path)['model_type']))


def open_encoder(source: str | Path, settings: EncoderSettings | None = None, *, name: str = '') -> Encoder:
    """A frozen encoder from a folder or file, on its device and in evaluation mode.

    Args:
        source: a folder as written by `save_pretrained`, an ONNX file, or a checkpoint of HiCMAE or SVFAP: a file or
            the folder of a run.
        settings: input limits, layers, device and precision; None for `EncoderSettings()`.
        name: name of an exported network, which its file does not state: a key of `EXPORTED`.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        WeightsError: there is no encoder, or its weights or its preprocessing are incomplete.
        UnknownNameError: a file comes without the name of a known network.
        ValueRangeError: the device is not available.
    """
    path, settings = Path(source), settings or EncoderSettings()
    encoder: Encoder
    if name or (path.is_file() and checkpoint_at(path) is None):
        if name not in EXPORTED:
            raise UnknownNameError(
                expected=f'the name of an exported network: {listed(EXPORTED, most=len(EXPORTED))}', came=repr(name),
                todo='say which one the file holds',
            )  # fmt: skip
        family = FAMILIES[EXPORTED[name].family]
        encoder = family.runner().open(path, settings, EXPORTED[name])
    else:
        family = family_at(path)
        encoder = family.runner().open(path, settings, family)
    return encoder


def open_backbone(
    folder: Path,
    *,
    layers: Layers = 'last',
    longest: int = 128,
    longest_s: float = 15.0,
    pictures: int = 8,
) -> Backbone:
    """A trainable encoder from a folder, on the CPU and in evaluation mode.

    Args:
        folder: a folder as written by `save_pretrained`, or a checkpoint of HiCMAE or SVFAP: a file or the folder of a
            run.
        layers: a name in `LAYERS`.
        longest: limit of word pieces per text.
        longest_s: limit of seconds per audio.
        pictures: limit of images per clip, for encoders that read images one by one.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        WeightsError: the folder has no encoder, or one with a decoder.
        UnknownNameError: there are no such layers.
    """
    settings = EncoderSettings(layers, longest, longest_s, pictures)
    require_extra()
    family = family_at(folder)
    if family.name == CLIPS:
        clips: Backbone = family.runner().open(folder, settings, family)
        return clips
    architecture = str(read_config(folder)['model_type'])
    model_files(folder)
    has_decoder = not family.trains or (bool(family.loader) and open_config(folder).is_encoder_decoder)
    if has_decoder:
        raise WeightsError(
            expected=f'an encoder to be trained in {folder}', came=f'an encoder with a decoder ({architecture})',
            todo='use a network that reads alone',
        )  # fmt: skip
    backbone: Backbone = family.runner().open(folder, settings, family)
    return backbone
