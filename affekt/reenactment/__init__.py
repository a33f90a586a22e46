"""Moving the face of a portrait: by a video of another face, by a named emotion, by curves."""
