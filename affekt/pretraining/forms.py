"""The sizes of the published networks: widths, heads and depths of HiCMAE and SVFAP, one short function per size.

A form determines the names and shapes of a network's state. Any field can be changed with `dataclasses.replace`, such
as `size=96` for a run on one CPU; checkpoints then fit that form only.

T frames, G patches on each axis of the input, C width.

Sources: Sun et al. 2024, arXiv:2401.05698 (HiCMAE); Sun et al. 2024, arXiv:2401.00416 (SVFAP).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from affekt.errors import UnknownNameError, ValueRangeError, listed
from affekt.nn import BlockForm

TUBE = (2, 16, 16)
"""Frames, rows and columns of a video token."""
TILE = (16, 16)
"""Steps of 10 ms and mel bands of an audio token."""
MODALITIES = ('video', 'audio')


@dataclass(frozen=True)
class HicmaeForm:
    """One size of HiCMAE.

    Args:
        width: C of both encoders and of the fusion encoder.
        heads: attention heads of these encoders.
        decoder_width: width of both decoders.
        decoder_heads: attention heads of both decoders.
        depth: blocks of each encoder.
        fusion_depth: cross-self blocks of each stream of the fusion encoder.
        decoder_depth: blocks of each decoder; all but the first read the encoder's layers by a skip connection.
        frames: T of a clip.
        size: height and width of a frame, in pixels.
        steps: rows of a spectrogram, 10 ms each.
        bands: mel bands of a spectrogram.
        modalities: `('video', 'audio')` as published; with one of them only its branch is built, without fusion.
    """

    width: int
    heads: int
    decoder_width: int
    decoder_heads: int
    depth: int = 10
    fusion_depth: int = 2
    decoder_depth: int = 4
    frames: int = 16
    size: int = 160
    steps: int = 256
    bands: int = 128
    modalities: tuple[str, ...] = MODALITIES

    def __post_init__(self) -> None:
        if self.modalities not in (MODALITIES, ('video',), ('audio',)):
            raise UnknownNameError(
                expected="modalities ('video', 'audio'), ('video',) or ('audio',)",
                came=repr(self.modalities),
                todo='choose one of the three',
            )
        minimum_depth = max(1, 3 * self.decoder_depth - 5)  # every third layer is kept, counted from the last
        if self.decoder_depth < 1 or self.depth < minimum_depth or self.fusion_depth < 1:
            raise ValueRangeError(
                expected=f'a fusion encoder and a decoder of one block or more, and an encoder of {minimum_depth}',
                came=f'fusion depth {self.fusion_depth}, decoder depth {self.decoder_depth}, depth {self.depth}',
                todo='take a deeper encoder, or a decoder of fewer blocks',
            )
        _require_whole_patches((self.frames, self.size, self.size), TUBE)
        _require_whole_patches((self.steps, self.bands), TILE)

    @property
    def kept_layers(self) -> tuple[int, ...]:
        """Encoder layers, counted from 0, that are contrasted and read by the decoders: 3, 6 and 9 of ten."""
        return tuple(self.depth - 1 - 3 * back for back in reversed(range(self.decoder_depth - 1)))

    @property
    def video_grid(self) -> tuple[int, int, int]:
        """Video tokens on each axis: time, rows, columns."""
        return self.frames // TUBE[0], self.size // TUBE[1], self.size // TUBE[2]

    @property
    def audio_grid(self) -> tuple[int, int]:
        """Audio tokens on each axis: time, mel bands."""
        return self.steps // TILE[0], self.bands // TILE[1]

    @property
    def feature_size(self) -> int:
        """Number of features of a clip: 4C for two modalities (each encoder, each stream of the fusion), C for one."""
        return self.width * (4 if len(self.modalities) == 2 else 1)

    def blocks(self) -> BlockForm:
        """Width and heads of the blocks of encoders and fusion."""
        return BlockForm(self.width, self.heads)

    def decoder_blocks(self) -> BlockForm:
        """Width and heads of the blocks of the decoders."""
        return BlockForm(self.decoder_width, self.decoder_heads)


@dataclass(frozen=True)
class SvfapForm:
    """One size of SVFAP.

    Args:
        width: C of the encoder.
        heads: attention heads of the encoder.
        decoder_width: width of the decoder.
        decoder_heads: attention heads of the decoder.
        depths: blocks of the three stages; each stage after the first halves time.
        decoder_depth: blocks of the decoder.
        summaries: bottleneck tokens per time slice.
        summary_width: hidden width of the two linear layers that score tokens for them.
        frames: T of a clip.
        size: height and width of a frame, in pixels.
        is_published_wiring: pre-training as in the published program, which differs from the paper: the last block of a
            later stage reads all tokens of the clip, including hidden ones, instead of the bottleneck tokens, and a
            later stage's tokens are upsampled in time as if they were twice as many slices.
    """

    width: int
    heads: int
    decoder_width: int
    decoder_heads: int
    depths: tuple[int, ...] = (8, 4, 2)
    decoder_depth: int = 4
    summaries: int = 8
    summary_width: int = 128
    frames: int = 16
    size: int = 160
    is_published_wiring: bool = False

    def __post_init__(self) -> None:
        slices = self.frames // TUBE[0]
        if not self.depths or self.depths[0] < 1 or min(self.depths[1:], default=2) < 2:
            raise ValueRangeError(
                expected='stages of one block or more, the later ones of two or more',
                came=repr(self.depths),
                todo='a later stage needs a block that reads the tokens and one that writes them back',
            )
        _require_whole_patches((self.frames, self.size, self.size), TUBE)
        if slices % 2 ** (len(self.depths) - 1):
            raise ValueRangeError(
                expected=f'time slices that halve {len(self.depths) - 1} times',
                came=f'{slices} slices of {self.frames} frames',
                todo='take 16 frames, or fewer stages',
            )

    @property
    def video_grid(self) -> tuple[int, int, int]:
        """Video tokens on each axis: time, rows, columns."""
        return self.frames // TUBE[0], self.size // TUBE[1], self.size // TUBE[2]

    @property
    def feature_size(self) -> int:
        """Number of features of a clip: C."""
        return self.width

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that it reads."""
        return ('video',)

    def blocks(self) -> BlockForm:
        """Width and heads of the blocks of the encoder."""
        return BlockForm(self.width, self.heads)

    def decoder_blocks(self) -> BlockForm:
        """Width and heads of the blocks of the decoder."""
        return BlockForm(self.decoder_width, self.decoder_heads)


Form = HicmaeForm | SvfapForm


def hicmae_tiny() -> HicmaeForm:
    """20.5 million parameters when fine-tuned. The unpublished width of the decoder is half the encoder's here."""
    return HicmaeForm(width=256, heads=4, decoder_width=128, decoder_heads=2)


def hicmae_small() -> HicmaeForm:
    """45.7 million parameters when fine-tuned."""
    return HicmaeForm(width=384, heads=6, decoder_width=192, decoder_heads=3)


def hicmae_base() -> HicmaeForm:
    """80.8 million parameters when fine-tuned."""
    return HicmaeForm(width=512, heads=8, decoder_width=384, decoder_heads=6)


def svfap_small() -> SvfapForm:
    """29.7 million parameters when fine-tuned. The unpublished width of the decoder is half the encoder's here."""
    return SvfapForm(width=384, heads=6, decoder_width=192, decoder_heads=3)


def svfap_base() -> SvfapForm:
    """77.6 million parameters when fine-tuned."""
    return SvfapForm(width=512, heads=8, decoder_width=384, decoder_heads=6, depths=(12, 6, 3))


def form_named(family: str, size: str) -> Form:
    """The form of a family and a size, such as `hicmae` and `tiny`.

    Raises:
        UnknownNameError: unknown family or size.
    """
    name = f'{family}-{size}'
    if name not in FORMS:
        raise UnknownNameError(expected=f'one of {listed(FORMS)}', came=repr(name), todo='choose one of them')
    return FORMS[name]()


def changed_form(form: Form, size: int | None = None, modalities: Sequence[str] = ()) -> Form:
    """The form for frames of another size, or for one modality alone.

    Args:
        form: form of the network.
        size: height and width of a frame, in pixels; None for that of the form.
        modalities: names of the modalities to read; () for all of the form.

    Raises:
        ValueRangeError: the form does not read one of them, or the size is not a multiple of that of a patch.
    """
    if unread := [name for name in modalities if name not in form.modalities]:
        raise ValueRangeError(
            expected=f'a network that reads {" and ".join(unread)}, such as hicmae',
            came=f'one that reads {" and ".join(form.modalities)} alone', todo='take another, or leave that out',
        )  # fmt: skip
    form = replace(form, size=size) if size else form
    return replace(form, modalities=tuple(modalities)) if modalities and isinstance(form, HicmaeForm) else form


def _require_whole_patches(lengths: tuple[int, ...], patch: tuple[int, ...]) -> None:
    if any(length < cells or length % cells for length, cells in zip(lengths, patch, strict=True)):
        raise ValueRangeError(
            expected=f'an input of whole patches {patch}', came=f'{lengths}', todo='choose multiples of the patch'
        )


FORMS: dict[str, Callable[[], Form]] = {
    'hicmae-tiny': hicmae_tiny,
    'hicmae-small': hicmae_small,
    'hicmae-base': hicmae_base,
    'svfap-small': svfap_small,
    'svfap-base': svfap_base,
}
"""Family and size to form."""
