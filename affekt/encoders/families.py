"""The table of encoder families: architectures that are run alike, the class that runs them, their pooling.

A family is looked up by `model_type` of a folder's config.json, or by the name of an exported network. To add a family,
write a class with the methods of `Encoder` and a classmethod `open(path, settings, family)`, and register a `Family`
that names it (`register_family`); extraction and training then support it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from affekt.encoders.encoder import Modality
from affekt.errors import UnknownNameError


@dataclass(frozen=True)
class Family:
    """Architectures that are opened, prepared and read in the same way."""

    name: str
    modality: Modality
    """Modality of their input."""
    encoder: str
    """Class that runs them, as `module:class`; imported only when a network is opened, since most need torch."""
    architectures: tuple[str, ...] = ()
    """Values of `model_type` in config.json."""
    corrected: str = ''
    """Processing of the states up to the mean over rows, in words; part of every recipe's hash."""
    published: str = ''
    """Processing by the published program; '' if that program fails."""
    loader: str = 'AutoModel'
    """Class of transformers that loads them; '' for networks of other libraries."""
    size_key: str = 'hidden_size'
    """Key of config.json with the size of a state."""
    least_layers: int = 1
    """Minimum number of layers whose states can be summed; the embeddings are one more."""
    trains: bool = True
    """Whether networks can be trained as a whole; False where the decoder is read too."""

    def pooling(self, is_published: bool) -> str:
        """Processing of the states in words; '' if the published program has none."""
        return self.published if is_published else self.corrected

    def runner(self) -> Any:
        """The class that runs the networks."""
        module, name = self.encoder.split(':')
        return getattr(import_module(module), name)


def family_of(architecture: str) -> Family:
    """The family of an architecture; `text` where no family lists it."""
    return next((family for family in FAMILIES.values() if architecture in family.architectures), FAMILIES['text'])


def register_family(family: Family) -> None:
    """Add a family to the table.

    Raises:
        UnknownNameError: the name or an architecture already belongs to another family.
    """
    taken = {name for registered in FAMILIES.values() for name in registered.architectures} & set(family.architectures)
    if family.name in FAMILIES or taken:
        raise UnknownNameError(
            expected='a family of encoders with a name and architectures of its own',
            came=f'{family.name}, which is known' if family.name in FAMILIES else f'{", ".join(sorted(taken))} again',
            todo='choose others',
        )
    FAMILIES[family.name] = family


CLIPS = 'clips'
"""Family of checkpoints that read frames and audio together: HiCMAE, SVFAP."""
_SUM = 'last four layers summed'
_SIXTEEN = '16 frames, {} where there are fewer; mean over patches; 8 rows'

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            'speech', 'audio', 'affekt.encoders.sound_backbones:SoundBackbone',
            ('hubert', 'wav2vec2', 'wavlm', 'data2vec-audio', 'wav2vec2-conformer', 'unispeech-sat'),
            corrected=f'{_SUM}; chunks of 10 s, the last one at its own length',
            published=f'{_SUM}; chunks of 10 s, the last one filled up with zeros',
            least_layers=3,
        ),
        Family(
            'whisper', 'audio', 'affekt.encoders.sound_backbones:WhisperBackbone', ('whisper',),
            corrected='last layer of the encoder where there is sound; stretches of 30 s',
            published='last layer of the decoder at two start tokens; the first 30 s',
            size_key='d_model', trains=False,
        ),
        Family(
            't5', 'text', 'affekt.encoders.text_backbones:TextBackbone', ('t5', 'mt5'),
            corrected='last four layers of the encoder summed; tokens that are not special; long texts in windows',
            loader='T5EncoderModel', size_key='d_model', least_layers=3, trains=False,
        ),
        Family(
            'clip', 'video', 'affekt.encoders.picture_backbones:ProjectedPictureBackbone',
            ('clip', 'clip_vision_model'),
            corrected='projected picture; every frame',
            published='projected picture; every frame',
            loader='CLIPVisionModelWithProjection', size_key='projection_dim',
        ),
        Family(
            'picture', 'video', 'affekt.encoders.picture_backbones:PictureBackbone',
            ('data2vec-vision', 'dinov2', 'beit', 'vit', 'deit'),
            corrected='last layer as the network gives it out, mean over patches',
            published='last layer before the final norm, tokens summed',
        ),
        Family(
            'videomae', 'video', 'affekt.encoders.picture_backbones:VideoMaeBackbone', ('videomae',),
            corrected=_SIXTEEN.format('all repeated alike'),
            published=_SIXTEEN.format('the last one repeated'),
        ),
        Family(
            'text', 'text', 'affekt.encoders.text_backbones:TextBackbone',
            corrected=f'{_SUM}; tokens that are not special; long texts in windows',
            published=f'{_SUM}; tokens between the ends that one Chinese sentence shows',
            least_layers=3,
        ),
        Family(
            CLIPS, 'video', 'affekt.representations.encoder:ClipBackbone', ('hicmae', 'svfap'),
            corrected='layers as the checkpoint weighs them, mean over tokens',
        ),
        Family('exported pictures', 'video', 'affekt.encoders.onnx_pictures:OnnxPictures', loader='', trains=False),
        Family('exported video', 'video', 'affekt.encoders.onnx_pictures:OnnxVideo', loader='', trains=False),
        Family('exported sound', 'audio', 'affekt.encoders.onnx_sounds:OnnxSound', loader='', trains=False),
        Family('vggish', 'audio', 'affekt.encoders.onnx_sounds:VggishOnnx', loader='', trains=False),
    )
}  # fmt: skip
"""Name to family; `text` is used for every architecture that no other family lists."""
