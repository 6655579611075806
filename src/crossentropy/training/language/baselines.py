"""The code length of the held-out text without a model: by token frequencies, and by ``xz``."""

import lzma
from dataclasses import dataclass

import numpy as np

from crossentropy.information import cross_entropy
from crossentropy.training.language.scores import TextScore


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


def score_unigram(training: np.ndarray, held_out: np.ndarray, vocabulary: int, length: int) -> TextScore:
    r"""Score the coder that gives a token the probability :math:`(n_v + 1) / (n + V)` of its training count.

    Parameters
    ----------
    training, held_out : numpy.ndarray of int
        Tokens.
    vocabulary : int
        ``V``; a token that did not occur has a positive probability too.
    length : int
        Bytes of the held-out text.
    """
    seen = np.bincount(training, minlength=vocabulary) + 1.0
    wanted = np.bincount(held_out, minlength=vocabulary) / len(held_out)
    nats = float(cross_entropy(wanted, seen / seen.sum())) * len(held_out)
    return TextScore(nats, len(held_out), length)


def score_xz(training: str, held_out: str) -> CompressedScore:
    """Compress the held-out text behind the training text, and alone."""
    before, text = training.encode(), held_out.encode()
    added = _compressed_bits(before + text) - _compressed_bits(before)
    return CompressedScore(added / len(text), _compressed_bits(text) / len(text))


def _compressed_bits(content: bytes) -> int:
    """Return the compressed size in bits."""
    return 8 * len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
