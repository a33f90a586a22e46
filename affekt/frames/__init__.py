"""What is said of each frame of a video: annotations by frame, features brought to the frames' clock, curves made steady.

Annotation files in the official layouts become `FrameLabels`, arrays with one row for every frame of a video. Features
of any clock are brought to the times of these frames, cut into windows, and predictions of overlapping windows are put
together again. Torch is not needed: the models that read such windows are in `affekt.sequence_models`.
"""
