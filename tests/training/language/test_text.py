import pytest

from crossentropy.training.errors import InputError
from crossentropy.training.language.text import read_texts

LINES = "".join(f"line {i}\n" for i in range(10))  # of seven bytes each


def write(tmp_path, content, name="text.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    ("content", "held_out", "last"),
    [
        (LINES, 0.1, "line 9\n"),
        (LINES, 0.11, "line 8\nline 9\n"),
        (LINES, 0.3, "line 7\nline 8\nline 9\n"),
        (LINES, 1e-20, "line 9\n"),
        (LINES + "no break at the end", 0.1, "no break at the end"),
        ("a\r\nb\r\nc\r\n", 0.3, "c\r\n"),
        ("é\u2028é\né\u2028é", 0.4, "é\u2028é"),
        ("one line of words", 0.3, "of words"),
        ("one line of words and a break\n", 0.3, "and a break\n"),
        ("title\n" + "one line of words " * 9, 0.1, "one line of words "),
        ("minified;" * 9, 0.1, "minified;"),
        ("交叉熵是一个量", 0.1, "量"),
        ("交叉熵是一个量", 0.2, "个量"),
    ],
)
def test_the_last_lines_with_at_least_the_share_of_the_bytes_are_held_out(tmp_path, content, held_out, last):
    texts = read_texts([write(tmp_path, content)], held_out)
    assert texts.held_out == [last]
    assert texts.training[0] + last == content


def test_each_file_is_split_by_itself(tmp_path):
    texts = read_texts([write(tmp_path, LINES, "a"), write(tmp_path, LINES * 2, "b")], 0.1)
    assert texts.held_out == ["line 9\n", "line 8\nline 9\n"]


def test_the_digest_is_of_contents_and_split_and_not_of_names(tmp_path):
    first, same, other = (
        write(tmp_path, LINES, "a"),
        write(tmp_path, LINES, "b"),
        write(tmp_path, "x\ny", "c"),
    )
    assert read_texts([first], 0.1).digest == read_texts([same], 0.1).digest
    others = (([other], 0.1), ([first], 0.5), ([first, other], 0.1), ([other, first], 0.1))
    assert len({read_texts(paths, share).digest for paths, share in [([first], 0.1), *others]}) == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        (b"text\nand\0", "is binary, not text: byte 8 is zero"),
        (b"caf\xe9\n", r"no UTF-8 text: byte 3 is 0xe9; if it is Latin-1.*'é'.*iconv -f LATIN1"),
        ("caf\u00e9\n".encode("utf-16"), "is UTF-16.*iconv -f UTF-16"),
        ("one line of text\n".encode("utf-16-be"), "is UTF-16.*iconv -f UTF-16"),
        ("交", "is not one character"),
    ],
)
def test_what_is_no_text_to_learn_from_is_refused(tmp_path, content, sentence):
    with pytest.raises(InputError, match=sentence):
        read_texts([write(tmp_path, content)], 0.1)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is a folder: .*\*\.txt"):
        read_texts([str(tmp_path)], 0.1)
    with pytest.raises(InputError, match="There is no file"):
        read_texts([str(tmp_path / "missing.txt")], 0.1)
