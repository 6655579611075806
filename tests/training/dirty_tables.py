"""Draw tables as people have them: clean tables, dirtied, with what should become of them."""

import numpy as np

from training import dirty_columns, dirty_files
from training.drawn_tables import Drawn, draw_clean

#: columns first: dirt in the rows changes the columns that are there
DIRTS = [*dirty_columns.DIRTS, *dirty_files.DIRTS]


def draw(seed: int) -> Drawn:
    """Draw a clean table and up to four kinds of dirt."""
    random = np.random.default_rng([seed, 2])
    drawn = draw_clean(seed % 40)
    for i in np.sort(random.choice(len(DIRTS), size=int(random.integers(0, 5)), replace=False)):
        if not drawn.refused:
            DIRTS[i](drawn, random)
            drawn.dirt.append(DIRTS[i].__name__)
    return drawn
