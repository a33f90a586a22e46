from affekt.ranking.comparisons import Comparisons
from affekt.ranking.counts import count
from affekt.ranking.bradley_terry import fit
from affekt.ranking.reading import read_comparisons
