"""Cross-entropy for Hugging Face: models that compute their loss without logits, and losses for the Trainer and TRL."""

try:
    import torch as _torch  # noqa: F401
    import transformers as _transformers  # noqa: F401
except ImportError as error:
    raise ImportError(
        "crossentropy.transformers needs PyTorch and transformers; install them with pip install "
        '"crossentropy[transformers]"'
    ) from error

from crossentropy.transformers.head import applied, apply, restore
from crossentropy.transformers.trainer import loss_function

__all__ = ["applied", "apply", "loss_function", "restore"]


def __dir__() -> list[str]:
    return sorted(__all__)
