"""How far affekt is right on labelled clips of your own: what to run before its results are believed there.

A manifest of clips and labels comes in; affekt analyzes every clip as `affekt analyze` does, and what each source and
all together say is scored beside what needs no analysis, with intervals by speaker. Nothing is chosen here. Read
`labelled.py` first (which clips, which labels), then `readings.py` (what an analysis says of a clip), `running.py` and
`scores.py`.
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
