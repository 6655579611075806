import math

import pytest

from crossentropy.training.errors import InputError
from crossentropy.training.language.options import LanguageOptions


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"vocabulary": 256}, "at least 257 tokens"),
        ({"context": 0}, "--context is at least 1"),
        ({"layers": 0}, "--layers is at least 1"),
        ({"width": 0}, "--width is at least 1"),
        ({"heads": -1}, "--heads is at least 1"),
        ({"batch": 0}, "--batch is at least 1"),
        ({"steps": 0}, "--steps is at least 1"),
        ({"checkpoint_every": 0}, "--checkpoint-every is at least 1"),
        ({"width": 100, "heads": 8}, "96 would do"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"seed": -1}, "seed"),
        ({"held_out": 0.0}, "between 0 and 1"),
        ({"held_out": 1.0}, "between 0 and 1"),
        ({"held_out": math.nan}, "between 0 and 1"),
        ({"logits": "none"}, "linear or materialized"),
    ],
    ids=str,
)
def test_an_impossible_choice_is_refused_in_a_sentence_with_its_value(choice, words):
    with pytest.raises(InputError, match=r"so not .*(\.|would do\.)$") as refused:
        LanguageOptions(files=("text.txt",), **choice)
    assert words in str(refused.value)
