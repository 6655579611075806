"""The link of the policy gradient."""

from dataclasses import dataclass

from crossentropy._backends import Array, namespace
from crossentropy._statistics.log_sigmoid import log_sigmoid


@dataclass(frozen=True, eq=False)
class Advantage:
    """``φ = −Â log p``; the advantages, which are constants, have the shape of the rows."""

    advantages: Array

    def loss(self, log_odds_against: Array) -> Array:
        """``Â softplus(D)``."""
        return -self.gain(log_odds_against) * log_sigmoid(-log_odds_against)

    def gain(self, log_odds_against: Array) -> Array:
        """``Â``."""
        return namespace(log_odds_against).astype(self.advantages, log_odds_against.dtype, copy=False)
