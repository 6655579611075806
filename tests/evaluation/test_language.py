"""Scores of language models: their formulas, what is counted and what is refused."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crossentropy.evaluation import BadData, LanguageState, State, language_score, windows

LN2 = math.log(2)


def documents(seed, count=40, longest=30):
    """Texts of several documents: log-probabilities, bytes, and the document of each."""
    r = np.random.default_rng(seed)
    hardness = r.gamma(4.0, 0.5, count)
    rows, bytes_, names = [], [], []
    for d in range(count):
        for _ in range(int(r.integers(1, 4))):
            n = int(r.integers(1, longest))
            rows.append((-r.gamma(2.0, hardness[d] / 2, n)).tolist())
            bytes_.append(int(r.integers(n, 6 * n)))
            names.append(f"doc {d}")
    return rows, np.asarray(bytes_), np.asarray(names)


# ---------------------------------------------------------------------------------------------------------- values


def test_scores_are_quotients_of_exact_sums():
    rows, sizes, names = documents(0)
    words, characters = sizes // 3 + 1, sizes - 1
    got = language_score(log_probs=rows, bytes=sizes, words=words, characters=characters, document=names)
    nats = -math.fsum(x for row in rows for x in row)
    tokens = sum(map(len, rows))
    assert got.nats == nats
    assert (got.tokens, got.bytes, got.documents) == (tokens, sizes.sum(), 40)
    assert got.nats_per_token == pytest.approx(nats / tokens, rel=1e-15)
    assert got.perplexity == pytest.approx(math.exp(nats / tokens), rel=1e-14)
    assert got.word_perplexity == pytest.approx(math.exp(nats / words.sum()), rel=1e-14)
    assert got.bits_per_byte == pytest.approx(nats / LN2 / sizes.sum(), rel=1e-15)
    assert got.bits_per_character == pytest.approx(nats / LN2 / characters.sum(), rel=1e-15)


def test_the_numbers_of_llama_2_on_wikitext_are_consistent():
    """lm-evaluation-harness: word, byte perplexity and bits per byte of one model, 5.347450639 bytes a word."""
    words, bytes_per_word = 10**9, 5.347450639
    nats = words * math.log(8.792073612124492)
    got = language_score(log_probs=[-nats], tokens=[1], words=[words], bytes=[round(words * bytes_per_word)])
    assert got.word_perplexity == pytest.approx(8.792073612124492, rel=1e-13)
    assert 2**got.bits_per_byte == pytest.approx(1.5015845643537054, rel=1e-9)
    assert got.bits_per_byte == pytest.approx(0.5864857250704371, rel=1e-9)
    assert math.log2(1.5015845643537054) == pytest.approx(0.5864857250704371, rel=1e-15)


def test_the_standard_error_is_that_of_a_ratio_of_sums_over_documents():
    rows, sizes, names = documents(1)
    got = language_score(log_probs=rows, bytes=sizes, document=names, interval=0.9)
    each = sorted(set(names))
    nats = np.asarray(
        [-math.fsum(x for r, n in zip(rows, names, strict=True) if n == d for x in r) for d in each]
    )
    size = np.asarray([sizes[names == d].sum() for d in each])
    tokens = np.asarray([sum(len(r) for r, n in zip(rows, names, strict=True) if n == d) for d in each])
    D = len(each)
    reach = stats.t.ppf(0.95, D - 1)
    for unit, value, error, interval in (
        (size * LN2, got.bits_per_byte, got.bits_per_byte_standard_error, got.bits_per_byte_interval),
        (tokens, got.nats_per_token, got.nats_per_token_standard_error, got.nats_per_token_interval),
    ):
        residuals = nats - nats.sum() / unit.sum() * unit
        truth = math.sqrt(D / (D - 1) * math.fsum(residuals**2)) / unit.sum()
        assert error == pytest.approx(truth, rel=1e-12)
        assert interval == pytest.approx((value - reach * truth, value + reach * truth), rel=1e-6)
    assert got.perplexity_interval == pytest.approx(np.exp(got.nats_per_token_interval), rel=1e-15)


def test_the_standard_error_agrees_with_a_bootstrap_of_the_documents():
    rows, sizes, names = documents(2, count=300)
    got = language_score(log_probs=rows, bytes=sizes, document=names)
    each, code = np.unique(names, return_inverse=True)
    nats = np.bincount(code, [-sum(row) for row in rows])
    size = np.bincount(code, sizes)
    drawn = np.random.default_rng(3).integers(0, len(each), (4000, len(each)))
    bits = nats[drawn].sum(axis=1) / size[drawn].sum(axis=1) / LN2
    assert got.bits_per_byte_standard_error == pytest.approx(bits.std(ddof=1), rel=0.05)
    alone = language_score(log_probs=rows, bytes=sizes)
    assert alone.documents == len(rows)
    assert alone.bits_per_byte_standard_error < got.bits_per_byte_standard_error


def test_bytes_characters_and_words_are_those_of_the_text():
    texts = ["Größe  ist\n", "日本", ""]
    got = language_score(log_probs=[[-1.0], [-2.0], []], text=texts)
    assert got.bytes == sum(len(text.encode()) for text in texts)
    assert (got.characters, got.words) == (13, 3)


def test_sums_of_texts_are_scored_as_their_tokens_are():
    rows, sizes, _ = documents(4)
    summed = language_score(
        log_probs=[math.fsum(r) for r in rows], tokens=[len(r) for r in rows], bytes=sizes
    )
    single = language_score(log_probs=rows, bytes=sizes)
    assert summed.nats_per_token == pytest.approx(single.nats_per_token, rel=1e-14)
    assert summed.bits_per_byte_standard_error == pytest.approx(
        single.bits_per_byte_standard_error, rel=1e-12
    )


def test_a_text_without_loss_is_a_document_too():
    got = language_score(log_probs=[[0.0, -0.0], [-3.0]], bytes=[2, 2])
    assert (got.documents, got.nats_per_token) == (2, 1.0)
    b = 3 / 4
    truth = math.sqrt(2 * ((2 * b) ** 2 + (3 - 2 * b) ** 2)) / 4 / LN2
    assert got.bits_per_byte_standard_error == pytest.approx(truth, rel=1e-14)


def test_rows_that_are_tokens_are_scored_as_the_lists_of_their_documents():
    rows, _, _ = documents(5)
    flat = np.asarray([x for row in rows for x in row])
    document = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    got = language_score(log_probs=flat, document=document, text=["é "] * len(flat))
    lists = language_score(log_probs=rows)
    assert (got.nats, got.nats_per_token_interval) == (lists.nats, lists.nats_per_token_interval)
    assert (got.bytes, got.characters, got.words) == (3 * len(flat), 2 * len(flat), None)
    one = language_score(log_probs=flat)
    assert (one.documents, one.nats_per_token_interval) == (1, None)
    assert "There is one document" in str(one)


# ------------------------------------------------------------------------------------------------ what is left out


def test_the_first_token_has_no_log_probability_and_is_counted():
    got = language_score(log_probs=[[None, -1.0, -3.0], [None], [-2.0]], bytes=[9, 5, 3])
    assert (got.tokens, got.unscored_tokens, got.nats_per_token) == (3, 2, 2.0)
    assert got.bytes == 12  # nothing of the second text was scored
    assert language_score(log_probs=[[None], [-1.0]], bytes=[math.nan, 3]).bytes == 3
    assert got.partly_scored_texts == 1
    assert "1 text begins with a token that has no log-probability" in str(got)
    named = language_score(log_probs=[[None, -1.0]], bytes=[3], prefix="<s>")
    assert "begins with" not in str(named)


def test_the_bytes_of_a_token_without_a_log_probability_are_not_counted():
    got = language_score(log_probs=[None, -1.0, -1.0], text=["The", " cat", " sat"])
    assert (got.bytes, got.unscored_tokens, got.partly_scored_texts) == (8, 1, 0)


@pytest.mark.parametrize("value", [-math.inf, -9999.0])
def test_tokens_of_probability_zero_make_the_loss_infinite_and_are_named(value):
    got = language_score(log_probs=[[-1.0], [None, -1.0, value], [value]], bytes=[2, 3, 4])
    assert (got.n_infinite, got.nats_per_token, got.bits_per_byte) == (2, math.inf, math.inf)
    assert got.infinite_tokens == [{"row": 1, "token": 2}, {"row": 2, "token": 0}]
    assert got.perplexity_interval is None
    assert "2: row 1, token 2; row 2, token 0" in str(got)
    assert '"perplexity": "Infinity"' in got.to_json()


def test_a_sum_of_minus_9999_nats_is_a_sum():
    assert language_score(log_probs=[-9999.0], tokens=[3000]).nats_per_token == pytest.approx(3.333)


FAULTS = {
    "range": ([[-1.0], [0.5]], {}, "row 1: the log-probability is 0.5; it must be at most 0"),
    "nan": ([[-1.0], [math.nan]], {}, "row 1: a log-probability is NaN; pass None"),
    "gap": ([[-1.0], [-1.0, None, -2.0]], {}, "row 1: a token after a scored one has no log-probability"),
    "count": ([[-1.0], [-2.0]], {"bytes": [3, -1]}, "row 1: the number of bytes is -1.0"),
    "null": ([-1.0, None], {"tokens": [1, 1]}, "row 1: a text has no log-probability"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_row_is_an_error_that_names_it_or_left_out_and_counted(kind):
    rows, others, words = FAULTS[kind]
    with pytest.raises(BadData, match=words):
        language_score(log_probs=rows, **others)
    got = language_score(log_probs=rows, on_bad_rows="skip", **others)
    assert got.bad_rows == {kind: 1}
    assert (got.nats, got.tokens) == (1.0, 1)


def test_perplexities_are_refused_with_the_reason():
    with pytest.raises(BadData, match=r"[Tt]he mean of perplexities is not the perplexity of all tokens"):
        language_score(log_probs=[12.5, 30.1])
    with pytest.raises(BadData, match=r"[Tt]he mean of perplexities is not the perplexity of all tokens"):
        language_score([{"perplexities": [12.5, 30.1], "mean_perplexity": 21.3}])


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="pass log_probs="):
        language_score()
    with pytest.raises(BadData, match="bytes has 1 rows, and log_probs has 2"):
        language_score(log_probs=[[-1.0], [-1.0]], bytes=[3])
    with pytest.raises(ValueError, match="leave tokens out"):
        language_score(log_probs=[[-1.0]], tokens=[1])
    with pytest.raises(BadData, match="log_probs has 'x', of type str"):
        language_score(log_probs=["x"])
    with pytest.raises(BadData, match="a text is 3, of type int"):
        language_score(log_probs=[[-1.0]], text=[3])
    with pytest.raises(ValueError, match="there are no log-probabilities to score"):
        language_score(log_probs=[[None]])
    with pytest.raises(ValueError, match="on_bad_rows is 'drop'"):
        language_score(log_probs=[[-1.0]], on_bad_rows="drop")
    with pytest.raises(ValueError, match="context is 0"):
        language_score(log_probs=[[-1.0]], context=0)
    with pytest.raises(ValueError, match="interval is 95"):
        language_score(log_probs=[[-1.0]], interval=95)


@pytest.mark.parametrize("rows", [np.full((2, 2, 2), -1.0), [[[-1.0], [-2.0]]], [np.full((2, 3), -1.0)]])
def test_log_probabilities_of_a_vocabulary_are_refused(rows):
    with pytest.raises(BadData, match="pass the log-probability of each token, not of the vocabulary"):
        language_score(log_probs=rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (-1.0, "log_probs is -1.0; pass a list"),
        ([10**400, -1.0], "an integer too large for float64"),
        ([[10**5000]], "an integer too large for float64"),
        (["-1.0"], "log_probs has '-1.0', of type str"),
        ([-1.0, "-2.0"], "log_probs has '-2.0', of type str"),
        ([[None, b"-1.0"]], "log_probs has b'-1.0', of type bytes"),
        (np.asarray(["-1.0"]), "log_probs has '-1.0', of type str"),
        ([[-1.0], -2.0], r"log_probs\[1\] is -2.0, and other rows are lists"),
        ([[[-1.0], [-2.0, -3.0]]], r"log_probs has \[-1.0\], of type list"),
    ],
)
def test_what_is_no_log_probability_is_named(rows, words):
    with pytest.raises(BadData, match=words):
        language_score(log_probs=rows)


def test_a_count_too_large_for_a_float_is_refused():
    with pytest.raises(BadData, match="pass how many bytes each text has"):
        language_score(log_probs=[[-1.0]], bytes=[10**400])


def test_a_row_that_is_none_among_lists_is_a_bad_row():
    with pytest.raises(BadData, match="row 0: log_probs is None; pass the list"):
        language_score(log_probs=[None, [-1.0]])
    got = language_score(log_probs=[None, [-1.0, -2.0]], on_bad_rows="skip")
    assert (got.tokens, got.nats, got.bad_rows) == (2, 3.0, {"null": 1})


def test_arrays_without_dimensions_are_numbers():
    got = language_score(log_probs=[np.asarray(-1.0), np.asarray(-2.0)])
    assert (got.tokens, got.documents, got.nats) == (2, 1, 3.0)


# ---------------------------------------------------------------------------------------------------------- states


def test_a_failed_update_leaves_the_state_as_it_was():
    state = LanguageState()
    with pytest.raises(BadData, match="at most 0"):
        state.update([[-1.0], [1.0]])
    assert state.to_bytes() == LanguageState().to_bytes()


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_batches_merged_in_any_order_have_the_same_bytes_and_scores(seed):
    r = np.random.default_rng(seed)
    rows, sizes, names = documents(7)
    rows[3], rows[50] = [None, -1e-300, -math.inf], [-1e9, -1e-9]

    def state_of(places):
        state = LanguageState(context=64)
        for i in places:
            state.update([rows[i]], bytes=sizes[i : i + 1], document=names[i : i + 1], first_row=int(i))
        return state

    whole = state_of(range(len(rows)))
    cuts = np.sort(r.integers(0, len(rows) + 1, r.integers(0, 6)))
    parts = [state_of(part) for part in np.split(r.permutation(len(rows)), cuts)]
    while len(parts) > 1:
        a, b = parts.pop(r.integers(len(parts))), parts.pop(r.integers(len(parts)))
        a.merge(pickle.loads(pickle.dumps(b)))
        parts.append(a)
    assert parts[0].to_bytes() == whole.to_bytes()
    assert parts[0].finalize() == whole.finalize()


def test_above_16384_documents_they_are_joined_and_the_error_stays_right():
    r = np.random.default_rng(8)
    loss, size = r.gamma(3.0, 2.0, 20_000), r.integers(5, 50, 20_000)
    got = language_score(log_probs=-loss, tokens=np.ones(20_000), bytes=size)
    b = loss.sum() / size.sum()
    truth = math.sqrt(np.square(loss - b * size).sum()) / size.sum() / LN2
    assert 4000 < got.documents <= 4096  # of which a few are empty
    assert got.bits_per_byte_standard_error == pytest.approx(truth, rel=0.05)


def test_states_of_other_scores_do_not_merge():
    with pytest.raises(ValueError, match="merge states of one kind"):
        LanguageState(stride=512).merge(LanguageState(stride=1024))
    with pytest.raises(ValueError, match=r"read it by LanguageState\.from_bytes"):
        State.from_bytes(LanguageState().to_bytes())
    with pytest.raises(ValueError, match="damaged"):
        LanguageState.from_bytes(LanguageState().to_bytes()[:-1] + b"?")


def test_what_only_some_texts_have_is_not_known():
    state = LanguageState()
    state.update([[-1.0]], text=["ab"])
    state.update([[-1.0]])
    got = state.finalize()
    assert (got.bytes, got.bits_per_byte, got.tokens) == (None, None, 2)


# --------------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(("context", "count", "last"), [(1, 4, 4), (8, 9, 3), (10, 25, 1)])
def test_windows_are_those_of_lm_evaluation_harness(context, count, last):
    """Its own test: 34 tokens, at most 10 at a time."""
    got = list(windows(34, 10, context))
    assert len(got) == count
    assert (got[0].inputs, got[0].scored) == (range(-1, 9), range(10))
    assert (got[-1].inputs, got[-1].scored) == (range(23, 33), range(34 - last, 34))
    assert [i for window in got for i in window.scored] == list(range(34))
    assert all(len(window.inputs) == 10 and window.inputs[-1] + 1 == window.scored[-1] for window in got)


def test_short_texts_have_one_window_and_empty_ones_none():
    assert [tuple(map(list, window)) for window in windows(3, 10)] == [([-1, 0, 1], [0, 1, 2])]
    assert list(windows(0, 10)) == []
    for arguments, words in (
        ((5, 4, 5), "context is 5"),
        ((5, 4, 0), "context is 0"),
        ((-1, 4), "n_tokens is -1"),
    ):
        with pytest.raises(ValueError, match=words):
            windows(*arguments)
