"""The code length of the held-out text without a model: by token frequencies, and by ``xz``."""

import lzma
from dataclasses import dataclass

import numpy as np

from crossentropy.evaluation import LanguageScore
from crossentropy.training.language.scores import NO_LABEL, Windows, score_windows


@dataclass(frozen=True)
class CompressedScore:
    """Bits per byte of the held-out text under ``xz -9e``.

    Attributes
    ----------
    after_training : float
        The growth of the compressed training text when the held-out text is appended.
    alone : float
        The held-out text by itself, with the file's header.
    """

    after_training: float
    alone: float


def score_unigram(training: np.ndarray, windows: Windows, sizes: np.ndarray) -> LanguageScore:
    r"""Score the coder that gives a token the probability :math:`(n_v + 1) / (n + V)` of its training count.

    Parameters
    ----------
    training : numpy.ndarray of int
        Tokens.
    windows : Windows
        Of the held-out text.
    sizes : numpy.ndarray (V,)
        The bytes of each token. One that did not occur has a positive probability too.
    """
    seen = np.bincount(training, minlength=len(sizes)) + 1.0
    labels = windows.labels.numpy()
    log_probs = np.log(seen / seen.sum())[np.where(labels == NO_LABEL, 0, labels)]
    return score_windows(log_probs, labels, sizes)


def score_xz(training: str, held_out: str) -> CompressedScore:
    """Compress the held-out text behind the training text, and alone."""
    before, text = training.encode(), held_out.encode()
    added = _compressed_bits(before + text) - _compressed_bits(before)
    return CompressedScore(added / len(text), _compressed_bits(text) / len(text))


def _compressed_bits(content: bytes) -> int:
    """Return the compressed size in bits."""
    return 8 * len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
