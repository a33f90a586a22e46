"""Portrait animation by latent diffusion guided by a 3-D face (MagicPortrait). Needs torch.

A portrait and maps of a face (depth, normals, shading) come in, frames go out. `load_nets` reads a folder of published
weights strictly, by the names of their tensors; `Drawing` draws. Read `pipeline.py` first, then `unet.py`, then
`schedule.py` and `windows.py`.

Source: Weng et al. 2025, MagicPortrait, arXiv:2504.21497; Zhu et al. 2024, Champ, arXiv:2403.14781.
"""

from affekt.diffusion.autoencoder import Autoencoder, AutoencoderSizes
from affekt.diffusion.guidance import MAPS, GuidanceEncoder
from affekt.diffusion.layers import Reading, Reference
from affekt.diffusion.perceptual import FeatureNetwork, PerceptualDistance, features_of
from affekt.diffusion.picture_networks import FeaturesOf, PictureNetworks
from affekt.diffusion.pipeline import (
    Drawing,
    DrawingSettings,
    forget_windows,
    number_type,
    on_device,
    require_same_drawing,
)
from affekt.diffusion.published import PortraitNets, load_nets, save_nets, weight_files, weight_prints
from affekt.diffusion.refiner import (
    Refinement,
    Refiner,
    RefinerSettings,
    fit_refiner,
    judge_refiner,
    learn_refiner,
)
from affekt.diffusion.refiner_files import (
    PORTRAIT_FILE,
    REFINER_FILES,
    RefinerCard,
    judged_in_numbers,
    read_refiner,
    read_refiner_card,
    save_refiner,
)
from affekt.diffusion.schedule import ddim_step, signal_shares, timesteps, velocity_of, with_noise
from affekt.diffusion.training import (
    GuidedVideo,
    StageSettings,
    TrainedStage,
    train_autoencoder,
    train_spatial,
    train_temporal,
)
from affekt.diffusion.unet import UNet, UNetSizes, denoising_unet, read_portrait, reference_unet
from affekt.diffusion.windows import windows

__all__ = [
    'MAPS',
    'PORTRAIT_FILE',
    'REFINER_FILES',
    'Autoencoder',
    'AutoencoderSizes',
    'Drawing',
    'DrawingSettings',
    'FeatureNetwork',
    'FeaturesOf',
    'GuidanceEncoder',
    'GuidedVideo',
    'PerceptualDistance',
    'PictureNetworks',
    'PortraitNets',
    'Reading',
    'Reference',
    'Refinement',
    'Refiner',
    'RefinerCard',
    'RefinerSettings',
    'StageSettings',
    'TrainedStage',
    'UNet',
    'UNetSizes',
    'ddim_step',
    'denoising_unet',
    'features_of',
    'fit_refiner',
    'forget_windows',
    'judge_refiner',
    'judged_in_numbers',
    'learn_refiner',
    'load_nets',
    'number_type',
    'on_device',
    'read_portrait',
    'read_refiner',
    'read_refiner_card',
    'reference_unet',
    'require_same_drawing',
    'save_nets',
    'save_refiner',
    'signal_shares',
    'timesteps',
    'train_autoencoder',
    'train_spatial',
    'train_temporal',
    'velocity_of',
    'weight_files',
    'weight_prints',
    'windows',
    'with_noise',
]
