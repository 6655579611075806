"""Links: the function from a target's probability to its loss.

A link φ turns the log-probability of a target, ``log p = −softplus(D)``, into its loss. It is given as a
function of ``D``, the log-odds *against* the target, because ``p``, ``1 − p`` and their logarithms all keep
full relative precision there. Its ``gain`` is its gradient in units of cross-entropy's gradient:
``∂loss/∂D = gain(D) · σ(D)``.

Any object with these two methods is a link; `Custom` makes one from two functions and checks that they agree.
Links other than `CrossEntropy` and `Focal` are imported on first use.
"""

from typing import TYPE_CHECKING

from crossentropy._lazy import attach
from crossentropy.links.cross_entropy import CrossEntropy, Focal
from crossentropy.links.link import Link

if TYPE_CHECKING:
    from crossentropy.links.bounded import GeneralizedCrossEntropy, MeanAbsoluteError, Taylor, Tsallis
    from crossentropy.links.clipped_policy import ClippedPolicy
    from crossentropy.links.custom import Custom
    from crossentropy.links.mixed import PartiallyHuberized, SymmetricCrossEntropy
    from crossentropy.links.poly import Poly
    from crossentropy.links.unlikelihood import Unlikelihood

__all__ = [
    "ClippedPolicy",
    "CrossEntropy",
    "Custom",
    "Focal",
    "GeneralizedCrossEntropy",
    "Link",
    "MeanAbsoluteError",
    "PartiallyHuberized",
    "Poly",
    "SymmetricCrossEntropy",
    "Taylor",
    "Tsallis",
    "Unlikelihood",
]

LAZY = {
    "bounded": ("GeneralizedCrossEntropy", "MeanAbsoluteError", "Taylor", "Tsallis"),
    "clipped_policy": ("ClippedPolicy",),
    "custom": ("Custom",),
    "mixed": ("PartiallyHuberized", "SymmetricCrossEntropy"),
    "poly": ("Poly",),
    "unlikelihood": ("Unlikelihood",),
}

__getattr__, __dir__ = attach(__name__, __all__, LAZY)
