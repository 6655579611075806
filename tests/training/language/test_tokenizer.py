import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossentropy.training.language.tokenizer import BOUNDARY, PIECE, encode, train_tokenizer

SHORT = "the cat sat on the mat, the cat did\n"
TOKENIZER = train_tokenizer([SHORT * 3], 300)


def decode(tokens: np.ndarray) -> str:
    return TOKENIZER.decode(tokens[1:].tolist(), skip_special_tokens=False)


@given(st.text())
def test_any_text_is_read_back_from_its_tokens(text):
    assert decode(encode(TOKENIZER, text)) == text


@pytest.mark.parametrize(
    "text",
    [
        f"{BOUNDARY} in the text {BOUNDARY}",
        "\r\n\t \n\n  \x00\x7f\ufeff",
        "żółć 中文 🦜🏽\u2028",
        SHORT * (2 * PIECE // len(SHORT)),
        "x" * (2 * PIECE),
        "\n" * (2 * PIECE),
    ],
    ids=["boundary", "white", "unicode", "lines", "one line", "breaks"],
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
