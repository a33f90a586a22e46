"""How many verdicts a ranking takes to come close to the truth: pairs chosen actively against pairs at random.

    python measurements/ranking_recovery.py [--repeats N] [--out FILE]

Strengths are drawn from a normal distribution; verdicts come in batches of 5, and after each batch all are fitted with
a prior of 1. The cost is the number of verdicts from which on Kendall's tau with the true order stays at 0.8 or more;
all strategies see the same strengths.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from affekt.ranking import recover
from affekt.ranking.simulation import STRATEGIES
from affekt.typed_json import json_file

RESULTS = Path(__file__).resolve().parent / 'results' / 'ranking_recovery.json'
SIZES = {8: 300, 16: 600}
"""Items to the budget of verdicts."""
SEEN_AT = (50, 100, 200)


def run(items: int, budget: int, repeats: int) -> dict[str, object]:
    """Mean tau along the way, and the median cost, of each strategy."""
    result: dict[str, object] = {'items': items, 'repeats': repeats}
    for strategy in STRATEGIES:
        runs = []
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            strengths = rng.normal(size=items)
            runs.append(recover(strengths, rng, strategy=strategy, budget=budget))
        result[strategy] = {
            'tau_after': {
                str(verdicts): round(float(np.mean([each.tau[each.comparisons >= verdicts][0] for each in runs])), 3)
                for verdicts in SEEN_AT
            },
            'median_cost': float(np.median([min(each.cost(0.8), budget) for each in runs])),
            'reached': round(float(np.mean([np.isfinite(each.cost(0.8)) for each in runs])), 3),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=80)
    parser.add_argument('--out', type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = [run(items, budget, options.repeats) for items, budget in SIZES.items()]
    options.out.write_bytes(json_file({'target_tau': 0.8, 'sizes': rows}))
    print(json.dumps(rows, indent=1))


if __name__ == '__main__':
    main()
