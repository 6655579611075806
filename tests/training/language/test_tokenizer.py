import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossentropy.training.language import tokenizer
from crossentropy.training.language.tokenizer import BOUNDARY, PIECE, encode, token_sizes, train_tokenizer

SHORT = "the cat sat on the mat, the cat did\n"
TOKENIZER = train_tokenizer([SHORT * 3], 300)


def decode(tokens: np.ndarray) -> str:
    return tokenizer.decode(TOKENIZER, tokens.tolist())


@given(st.text())
def test_any_text_is_read_back_from_its_tokens(text):
    assert decode(encode(TOKENIZER, text)) == text


@given(st.text())
def test_the_sizes_of_the_tokens_of_a_text_are_its_bytes(text):
    assert token_sizes(TOKENIZER)[encode(TOKENIZER, text)].sum() == len(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        f"{BOUNDARY} in the text {BOUNDARY}",
        "\r\n\t \n\n  \x00\x7f\ufeff",
        "żółć 中文 🦜🏽\u2028",
        SHORT * (2 * PIECE // len(SHORT)),
        "x" * (2 * PIECE),
        "of words " * (PIECE // 2),
        "\n" * (2 * PIECE),
    ],
    ids=["boundary", "white", "unicode", "lines", "one word", "one line", "breaks"],
)
def test_so_are_odd_and_long_texts(text):
    assert decode(encode(TOKENIZER, text)) == text


def test_a_text_begins_with_the_boundary():
    assert encode(TOKENIZER, "cat").tolist() == [TOKENIZER.token_to_id(t) for t in (BOUNDARY, "cat")]


def test_the_vocabulary_is_what_was_asked_for_or_what_the_text_supports():
    assert train_tokenizer([SHORT * 3], 260).get_vocab_size() == 260
    assert TOKENIZER.get_vocab_size() < 300  # the few words are single tokens before


def test_a_pair_that_occurs_once_is_no_token():
    assert train_tokenizer(["ab"], 300).get_vocab_size() == 257
    assert train_tokenizer(["ab ab"], 300).token_to_id("ab") is not None


def test_the_same_text_gives_the_same_tokenizer():
    assert train_tokenizer([SHORT * 3], 300).to_str() == TOKENIZER.to_str()


def test_the_name_of_the_boundary_in_a_text_is_text():
    learned = train_tokenizer([f"{BOUNDARY} is a name, {BOUNDARY} is a name\n" * 3], 400)
    tokens = encode(learned, f"{BOUNDARY} is a name")
    assert tokens[0] == learned.token_to_id(BOUNDARY) not in tokens[1:]
    assert tokenizer.decode(learned, tokens) == f"{BOUNDARY} is a name"


def test_pieces_are_bounded_and_words_stay_whole():
    text = "some words " * PIECE
    pieces = list(tokenizer._pieces(text))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 2 * PIECE
    assert all(piece.startswith(" ") for piece in pieces[1:])
