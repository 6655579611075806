import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from crossentropy.training.data import load_dataset
from crossentropy.training.errors import InputError

TABLE = pd.DataFrame(
    {"size": [3 * i % 7 for i in range(20)], "color": ["red", "blue"] * 10, "kind": ["x", "y", "y", "x"] * 5}
)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 61), list(range(10))),
        ("breast_cancer", (569, 30), ["benign", "malignant"]),
        ("wine", (178, 13), ["class_0", "class_1", "class_2"]),
        ("iris", (150, 4), ["setosa", "versicolor", "virginica"]),
    ],
)
def test_bundled_data_sets_come_by_name(name, shape, classes):
    dataset = load_dataset(name)
    assert dataset.features.shape == shape
    assert dataset.classes == classes
    bunch = getattr(datasets, f"load_{name}")()
    names = bunch.target_names[bunch.target]
    assert [dataset.classes[i] for i in dataset.labels] == names.tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_a_file_is_read_by_its_suffix(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    TABLE.to_parquet(path) if suffix == ".parquet" else TABLE.to_csv(path, index=False)
    dataset = load_dataset(str(path), "kind")
    assert list(dataset.features) == ["size", "color"]
    assert dataset.classes == ["x", "y"]
    np.testing.assert_array_equal(dataset.labels, [0, 1, 1, 0] * 5)


@pytest.mark.parametrize("name", ["label", "target", "class", "y"])
def test_the_label_column_is_found_by_a_usual_name(tmp_path, name):
    path = tmp_path / "table.csv"
    TABLE.rename(columns={"kind": name}).to_csv(path, index=False)
    assert load_dataset(str(path)).label == name


@pytest.mark.parametrize(
    ("columns", "label", "sentence"),
    [
        (["a", "b", "c"], None, r"by --label: .* has no column named label.*columns are 'a', 'b', 'c'"),
        (["y", "label", "c"], None, r"by --label: .* has 'label', 'y'"),
        (["a", "b", "c"], "d", r"has no column 'd'; its columns are 'a', 'b', 'c'"),
    ],
    ids=["none", "two", "another"],
)
def test_a_label_column_that_is_not_there_or_not_certain_lists_the_columns(
    tmp_path, columns, label, sentence
):
    path = tmp_path / "table.csv"
    TABLE.set_axis(columns, axis=1).to_csv(path, index=False)
    with pytest.raises(InputError, match=sentence):
        load_dataset(str(path), label)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,label\n", "holds no rows"),
        ("t.csv", b"\n\n", "is empty"),
        ("t.csv", b"a,label\n1,2\n1,2,3\n", "names 2 columns, but 1 row has 3 fields, such as '1,2,3'"),
        (
            "t.csv",
            b"a,label\n\xff\xfe,2\n",
            "line 2 holds bytes that are not valid UTF-8. Try --encoding latin-1",
        ),
        ("t.parquet", b"not a parquet file", "cannot be read"),
        ("t.csv", b'{"a": 1, "label": "x"}\n', "a JSON file: write the table as CSV"),
        ("t.csv", b"<!DOCTYPE html>", "a page of HTML"),
        ("t.csv", b"a,label\n\xff\0,x\n", "holds zero bytes"),
        ("t.csv", b"label\nx\ny\n", "no column left to predict 'label' from"),
        ("t.csv", b"id,label\na,x\nb,y\n", r"no column left .*'id' is left out"),
    ],
)
def test_a_file_that_is_no_table_to_learn_from_is_refused(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_dataset(str(path))


@pytest.mark.parametrize("data", ["no_such_set", "no_such.csv"])
def test_a_table_that_is_not_there_names_the_bundled_ones(data):
    with pytest.raises(InputError, match=r"no file .*digits, breast_cancer, wine, iris"):
        load_dataset(data)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match="is a folder: pass the path of a table in it"):
        load_dataset(str(tmp_path))
