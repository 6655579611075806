"""Byte-pair encoding learned from the training text, and the tokens of a text."""

import json
from collections.abc import Iterable, Iterator

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

BOUNDARY = "<|endoftext|>"
PIECE = 1 << 16
FEWEST_OCCURRENCES = 2


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn byte-level BPE: every byte is a token, so that any text can be written and is read back unchanged.

    The boundary is a token that no text is encoded into, its own name included. The vocabulary is smaller than
    requested if the text has no more pairs that occur twice.
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
    # As an added token the boundary would be found in texts that contain its name.
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(description))


def encode(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Encode a text into int64 tokens, with the boundary token before them."""
    ids = [np.array(tokenizer.encode(piece).ids, np.int64) for piece in _pieces(text)]
    return np.concatenate([np.array([tokenizer.token_to_id(BOUNDARY)]), *ids])


def token_sizes(tokenizer: Tokenizer) -> np.ndarray:
    """Return the bytes that each token writes, int64 (vocabulary,): a byte is a letter in the names of tokens."""
    sizes = np.zeros(tokenizer.get_vocab_size(), np.int64)
    for name, i in tokenizer.get_vocab().items():
        sizes[i] = 0 if name == BOUNDARY else len(name)
    return sizes


def decode(tokenizer: Tokenizer, tokens: Iterable[int]) -> str:
    """Decode tokens into a text, without the boundaries among them."""
    boundary = tokenizer.token_to_id(BOUNDARY)
    text: str = tokenizer.decode([token for token in tokens if token != boundary])
    return text


def _pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces of 64 to 128 thousand characters, behind a line break, else before a space, else anywhere.

    `tokenizers` takes hundreds of bytes of memory for each byte of a piece.
    """
    start = 0
    while start < len(text):
        least, most = start + PIECE, start + 2 * PIECE
        end = text.find("\n", least, most) + 1 or max(text.find(" ", least, most), 0) or most
        yield text[start:end]
        start = end
