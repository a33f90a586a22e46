"""Accuracy of affekt on labelled clips of your own, to be measured before its results are trusted there.

A manifest of clips and labels comes in; affekt analyzes every clip as `affekt analyze` does, and the readings of each
source and of their fusion are scored beside trivial baselines, with intervals by speaker. Nothing is fitted here. Read
`labelled.py` first (clips and labels), then `readings.py` (the readings of a clip), `running.py` and `scores.py`.
"""

from affekt.own_data.benchmark import bench_analysis, benchmark_facts, save_analysis_benchmark
from affekt.own_data.labelled import LabelledClip, LabelledClips, labelled_clips, parsed_scales
from affekt.own_data.outcome import AnalysisBenchmark
from affekt.own_data.readings import ClipReading, SourceReading, readings_of
from affekt.own_data.running import ReadClips, read_clips
from affekt.own_data.scores import CategoryScore, DimensionScore, Scores, scored
from affekt.own_data.sheet import analysis_sheet, conclusions

__all__ = [
    'AnalysisBenchmark',
    'CategoryScore',
    'ClipReading',
    'DimensionScore',
    'LabelledClip',
    'LabelledClips',
    'ReadClips',
    'Scores',
    'SourceReading',
    'analysis_sheet',
    'bench_analysis',
    'benchmark_facts',
    'conclusions',
    'labelled_clips',
    'parsed_scales',
    'read_clips',
    'readings_of',
    'save_analysis_benchmark',
    'scored',
]
