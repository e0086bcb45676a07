"""Chance: what strikes whom in a campaign that is a test of the suite, from the seed that its command line names."""

import os
import random
from typing import Final

SEED: Final = int(os.environ["WEIR_CAMPAIGN_SEED"]) if "WEIR_CAMPAIGN_SEED" in os.environ else None
"""`./run campaign` sets it; else None."""


def chance() -> random.Random:
    """A new sequence of the seed; without one, any."""
    return random.Random(SEED)  # noqa: S311  # no secret
