"""What runs by default where parameters multiply."""

from itertools import product

import pytest

from sampling import covering, full, named, sampled


def often(decorator):
    """The values of the cases that are not marked full."""
    return [case.values for case in decorator.args[1] if not case.marks]


def test_every_combination_is_a_case_and_every_value_is_in_one_that_is_not_full():
    decorator = sampled({"a": [1, 2, 3], "b": "xy", "c": [True, False]})
    assert [case.values for case in decorator.args[1]] == list(product([1, 2, 3], "xy", [True, False]))
    assert {x for values in often(decorator) for x in values} == {1, 2, 3, "x", "y", False}
    assert len(often(decorator)) == 3


def test_with_pairs_every_pair_of_values_is_in_a_case_that_is_not_full():
    sizes = [3, 4, 2]
    places = covering(sizes, 2)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert {(x[i], x[j]) for x in places} == set(product(range(sizes[i]), range(sizes[j])))
    assert len(places) < 3 * 4 * 2


def test_a_value_that_is_full_is_in_no_other_case():
    assert {values[0] for values in often(sampled({"a": [1, *full([2])], "b": [3, 4]}))} == {1}


def test_several_parameters_may_be_one():
    decorator = sampled({"rows, classes": [(1, 2), (3, 4)], "way": named([min, max], ["least", "most"])})
    assert decorator.args[0] == ["rows", "classes", "way"]
    assert [case.id for case in decorator.args[1]] == ["1-2-least", "1-2-most", "3-4-least", "3-4-most"]
    assert [case.values[:2] for case in decorator.args[1]] == [(1, 2), (1, 2), (3, 4), (3, 4)]


def test_ids_are_of_the_same_number_as_the_values():
    with pytest.raises(ValueError, match="shorter"):
        named([1, 2], ["one"])
