"""Links: the function from a target's probability to its loss.

A link φ turns the log-probability of a target, ``log p = −softplus(D)``, into its loss. It is given as a
function of ``D``, the log-odds *against* the target, because ``p``, ``1 − p`` and their logarithms all keep
full relative precision there. Its ``gain`` is its gradient in units of cross-entropy's gradient:
``∂loss/∂D = gain(D) · σ(D)``.

Any object with these two methods is a link; `Custom` makes one from two functions and checks that they agree.
Links other than `CrossEntropy`, `Focal` and `Poly` are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossentropy.links.cross_entropy import CrossEntropy, Focal, Poly
from crossentropy.links.link import Link

if TYPE_CHECKING:
    from crossentropy.links.bounded import GeneralizedCrossEntropy, MeanAbsoluteError, Taylor, Tsallis
    from crossentropy.links.clipped_policy import ClippedPolicy
    from crossentropy.links.custom import Custom
    from crossentropy.links.mixed import PartiallyHuberised, SymmetricCrossEntropy
    from crossentropy.links.unlikelihood import Unlikelihood

__all__ = [
    "ClippedPolicy",
    "CrossEntropy",
    "Custom",
    "Focal",
    "GeneralizedCrossEntropy",
    "Link",
    "MeanAbsoluteError",
    "PartiallyHuberised",
    "Poly",
    "SymmetricCrossEntropy",
    "Taylor",
    "Tsallis",
    "Unlikelihood",
]

MODULES = {
    "bounded": ("GeneralizedCrossEntropy", "MeanAbsoluteError", "Taylor", "Tsallis"),
    "clipped_policy": ("ClippedPolicy",),
    "custom": ("Custom",),
    "mixed": ("PartiallyHuberised", "SymmetricCrossEntropy"),
    "unlikelihood": ("Unlikelihood",),
}


def __getattr__(name: str) -> Any:
    for module, members in MODULES.items():
        if name in members:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
