"""The readings of `affekt.analyze`, while it happens: from a camera, a network stream, or a file played in real time.

A source is read in a thread of its own, and the newest frame wins: what cannot be read in time is dropped and counted,
so that the delay stays within its budget. What was read is kept, and makes the same run folder as an analysis.
"""
