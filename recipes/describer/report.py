"""To be replaced."""


def write_report(clips, out):
    """Nothing yet."""
