"""A portrait moved by latent diffusion under guidance of a 3-D face (MagicPortrait). Needs torch."""
