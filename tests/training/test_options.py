import math

import pytest

from crossentropy.training.errors import InputError
from crossentropy.training.options import Options, listed_widths, parse_hidden
from crossentropy.training.tables.options import ReadOptions


@pytest.mark.parametrize(
    "choice",
    [
        {"hidden": (8, 0)},
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"weight_decay": -1e-9},
        {"weight_decay": math.nan},
        {"seed": -1},
        {"seed": 2**63},
    ],
    ids=str,
)
def test_an_impossible_choice_is_refused_in_a_sentence_with_its_value(choice):
    with pytest.raises(InputError, match=r"so not .*\.$"):
        Options(data="iris", **choice)


def test_classes_are_merged_only_below_a_number_of_rows():
    with pytest.raises(InputError, match="pass --min-class too"):
        Options(data="iris", reading=ReadOptions(merge_rare=True))


@pytest.mark.parametrize("widths", [(), (8,), (256, 128)])
def test_written_widths_are_read_back(widths):
    assert parse_hidden(listed_widths(widths)) == widths


@pytest.mark.parametrize("text", ["a", "3,", "2.5", ","])
def test_unreadable_widths_are_refused(text):
    with pytest.raises(InputError, match="256,128"):
        parse_hidden(text)
