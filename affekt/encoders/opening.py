"""A model folder or an exported file to its encoder: frozen for features, or to be trained with what stands on it.

Nothing is fetched and nothing is unpickled but plain tensors; torch is imported when a folder is opened, not before.
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
    """The family of what lies at a path: a checkpoint of an encoder of clips, or a folder of transformers.

    Raises:
        WeightsError: it is neither.
    """
    if checkpoint_at(path) is not None:
        return FAMILIES[CLIPS]
    return family_of(str(read_config(path)['model_type']))


def open_encoder(source: str | Path, settings: EncoderSettings | None = None, *, name: str = '') -> Encoder:
    """The encoder of a folder or a file, frozen: on its device, in evaluation mode.

    Args:
        source: a folder as `save_pretrained` writes it, an ONNX file, or a checkpoint of HiCMAE or SVFAP: a file or
            the folder of a run.
        settings: what of a sample is read, and how it is run; None for `EncoderSettings()`.
        name: of an exported network, which its file does not tell: a key of `EXPORTED`.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        WeightsError: there is no encoder there, or it lacks weights or what prepares its input.
        UnknownNameError: a file comes without the name of a known network.
        ValueRangeError: there is no such device.
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
    """The encoder in a folder as a network that can be trained, on the CPU and in evaluation mode.

    Args:
        folder: as `save_pretrained` writes it; or a checkpoint of HiCMAE or SVFAP, a file or the folder of a run.
        layers: what of it is read: a name in `LAYERS`.
        longest: word pieces of a text.
        longest_s: seconds of a sound.
        pictures: of a clip, for encoders that read pictures one by one.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        WeightsError: the folder holds no encoder, or one with a decoder.
        UnknownNameError: no such layers.
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
