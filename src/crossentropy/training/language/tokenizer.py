"""Byte-pair encoding learned from the training text, and the tokens of a text."""

from collections.abc import Iterable, Iterator

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

BOUNDARY = "<|endoftext|>"
PIECE = 1 << 16
FEWEST_OCCURRENCES = 2


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn byte-level BPE: every byte is a token, so that any text can be written and is read back unchanged.

    The vocabulary is smaller than requested if the text has no more pairs that occur twice.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=FEWEST_OCCURRENCES,
        special_tokens=[BOUNDARY],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((piece for text in texts for piece in _pieces(text)), trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Encode a text into int64 tokens, with the boundary token before them."""
    ids = [np.array(tokenizer.encode(piece).ids, np.int64) for piece in _pieces(text)]
    return np.concatenate([np.array([tokenizer.token_to_id(BOUNDARY)]), *ids])


def _pieces(text: str) -> Iterator[str]:
    """Cut a text at line breaks into pieces, for `tokenizers` takes hundreds of bytes of memory per byte of text."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + PIECE) + 1 or len(text)
        yield text[start:end]
        start = end
