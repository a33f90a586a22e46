import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from affekt.arrays import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        arrays = [np.ones(1 << 20, np.uint8) for _ in range(8)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='other C libraries keep memory by other rules')
def test_freed_memory_is_kept_for_the_next_arrays():
    # 20 times 8 MiB are 40,960 pages, of which each comes back once where they are returned
    answer = subprocess.run([sys.executable, '-c', FAULTS], capture_output=True, text=True, check=True).stdout
    first, kept = map(int, answer.split())
    assert first > 10_000
    assert kept < 100
