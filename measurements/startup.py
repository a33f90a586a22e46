"""Time to import affekt and to answer `affekt --help`, beside Python itself and NumPy; packages of a core install.

python measurements/startup.py [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
RUNS = 7
COMMANDS = {
    'python alone': 'pass',
    'import numpy': 'import numpy',
    'import affekt': 'import affekt',
    'affekt --help': 'import affekt.cli, sys; sys.argv = ["affekt", "--help"]; affekt.cli.main(standalone_mode=False)',
}


def seconds(code: str) -> float:
    """Wall time of a Python process that runs `code`."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, '-c', code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def core_packages(name: str = 'affekt') -> set[str]:
    """Every package that installing `name` without extras brings, itself included."""
    packages: set[str] = set()
    waiting = [(name, frozenset[str]())]
    while waiting:
        package, extras = waiting.pop()
        key = re.sub(r'[-_.]+', '-', package).lower()
        if key in packages:
            continue
        try:
            needed = requires(package) or []
        except PackageNotFoundError:
            continue
        packages.add(key)
        for text in needed:
            requirement = Requirement(text)
            environments = [{'extra': extra} for extra in (extras or {''})]
            if requirement.marker is None or any(requirement.marker.evaluate(e) for e in environments):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return packages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'startup.json')
    options = parser.parse_args()
    for code in COMMANDS.values():
        seconds(code)  # warm the file cache
    rounds = [{name: seconds(code) for name, code in COMMANDS.items()} for _ in range(RUNS)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in COMMANDS}
    packages = sorted(core_packages())
    result = {
        'seconds': medians,
        'import_affekt_over_import_numpy': medians['import affekt'] / medians['import numpy'],
        'core_packages': len(packages),
        'packages': packages,
    }
    options.out.write_text(json.dumps(result, indent=2) + '\n')
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
