"""Models that answer for every frame: expression, valence and arousal, and action units over time.

Features of several modalities on the clock of the video come in, in windows; an answer for each frame comes out. Needs
torch.
"""
