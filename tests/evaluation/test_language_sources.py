"""Log-probabilities as servers, harnesses and tables have them; one set of texts in all of these forms."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.evaluation import BadData, LanguageState, language_score
from crossentropy.evaluation._language.names import Names
from crossentropy.evaluation._language.objects import ObjectReader
from evaluation_files import write

TEXTS = ["The café, it is", " is open", "日本 日"]
TOKENS = [["The", " café", ",", " it", " is"], [" is", " open"], ["日", "本", " 日"]]
LOG_PROBS = [[None, -3.0, -1.5, -2.25, -0.5], [None, -4.0], [None, -7.5, -0.125]]
#: What is scored where the first token has no log-probability, and is a part of the text.
SCORED = [" café, it is", " open", "本 日"]

WHOLE = language_score(log_probs=LOG_PROBS, text=TEXTS)
EXACT = language_score(log_probs=[row[1:] for row in LOG_PROBS], text=SCORED)


def lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def same(got, truth, *names):
    """Compare scores, and the counts of these names."""
    for name in (
        *names,
        "nats",
        "perplexity",
        "perplexity_interval",
        "bits_per_byte",
        "bits_per_byte_interval",
    ):
        assert getattr(got, name) == getattr(truth, name), name


# --------------------------------------------------------------------------------------------------------- servers


def entry(x, rank):
    return {"logprob": x, "rank": rank, "decoded_token": "?"}


def of_vllm(i, k, *, ids=False):
    """An answer of vLLM with the k most likely tokens of each place, and the token itself if it is none of them."""
    places = [None]
    for j, x in enumerate(LOG_PROBS[i][1:]):
        likely = {str(100 + r): entry(-0.5 - r, r) for r in range(1, k + 1)}
        own = {str(j): entry(x, k + 7)}
        # in some places the token is among the most likely ones
        places.append(
            {"100": entry(x, 1)} | {str(100 + r): entry(x - r, r) for r in range(2, k + 1)}
            if j == 0
            else likely | own
        )
    numbers = [1, *(100 if j == 0 else j for j in range(len(LOG_PROBS[i]) - 1))]
    more = {"prompt_token_ids": numbers} if ids else {}
    return {"id": f"x{i}", "choices": [{"index": 0, "text": "written", "prompt_logprobs": places, **more}]}


@pytest.mark.parametrize(("k", "ids"), [(0, True), (1, False), (1, True), (3, True)])
def test_prompts_of_vllm(k, ids, tmp_path):
    path = lines(tmp_path / "a.jsonl", [of_vllm(i, max(k, 1), ids=ids) | {"t": TEXTS[i]} for i in range(3)])
    same(language_score(path, text="t"), WHOLE, "bytes", "words", "unscored_tokens", "partly_scored_texts")


def test_a_prompt_with_several_answers_is_scored_once():
    choices = of_vllm(0, 1)["choices"]
    for answer in ({"choices": choices * 3}, {"choices": [{"text": "a"}, {"text": "b"}], **choices[0]}):
        assert language_score([answer, of_vllm(1, 1)]).nats == 7.25 + 4.0


def test_the_text_of_a_prompt_is_not_what_was_written_behind_it():
    with pytest.raises(BadData, match="row 0: it has nothing at 'text'"):
        language_score([of_vllm(0, 1)], text="text")
    bodies = [{"response": {"body": of_vllm(i, 1)}, "text": TEXTS[i]} for i in range(3)]
    same(language_score(bodies, text="text"), WHOLE, "bytes")
    answers = [{"response": {"body": of_chat(i)}, "text": TEXTS[i]} for i in range(3)]
    for answer in answers:
        answer["response"]["body"]["choices"][0]["text"] = "another"
    assert language_score(answers, text="text").bytes == WHOLE.bytes


def test_a_token_of_a_prompt_that_nothing_tells_from_the_likely_ones_is_refused(tmp_path):
    path = lines(tmp_path / "a.jsonl", [of_vllm(0, 3)])
    with pytest.raises(
        BadData, match=r"row 0: prompt_logprobs has several tokens in each place.*prompt_logprobs=0"
    ):
        language_score(path)
    wrong = of_vllm(0, 3, ids=True)
    wrong["choices"][0]["prompt_token_ids"][2] = 99
    with pytest.raises(BadData, match="no entry of token 99, which is in place 2"):
        language_score([wrong])


def test_requests_of_vllm_in_python_have_their_prompt():
    rows = [
        {"prompt": TEXTS[i], "prompt_token_ids": [1, *range(len(row) - 1)]}
        | {"prompt_logprobs": [None, *({j: entry(x, 3)} for j, x in enumerate(row[1:]))]}
        for i, row in enumerate(LOG_PROBS)
    ]
    same(language_score(rows), WHOLE, "bytes", "words")


def of_completion(i, written=()):
    tokens = [*TOKENS[i], *(token for token, _ in written)]
    starts = np.cumsum([0, *map(len, tokens)]).tolist()
    log_probs = [*LOG_PROBS[i], *(x for _, x in written)]
    return {
        "index": i,
        "text": "".join(tokens),
        "logprobs": {"tokens": tokens, "token_logprobs": log_probs, "text_offset": starts[:-1]},
    }


def usage(choices, written):
    return {"prompt_tokens": sum(map(len, TOKENS[: len(choices)])), "completion_tokens": written}


def test_an_echoed_prompt_of_a_completion_is_scored_with_the_bytes_of_its_scored_tokens(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"choices": [of_completion(i)]} for i in range(3)])
    got = language_score(path)
    same(got, EXACT, "bytes", "characters", "words")
    assert (got.unscored_tokens, got.partly_scored_texts) == (3, 0)


def test_what_the_model_wrote_behind_an_echoed_prompt_is_left_out():
    choices = [of_completion(i, [("!", -9.0)]) for i in range(3)]
    got = language_score([{"choices": choices, "usage": usage(choices, 3)}])
    same(got, EXACT, "bytes", "characters", "words")
    assert got.generated_tokens == 3
    longer = [of_completion(0, [("!", -9.0), ("?", -9.0)])]
    assert language_score([{"choices": longer, "usage": usage(longer, 2)}]).nats == 7.25
    for first, second in ((3, 0), (3, 1)):
        uneven = [of_completion(0, [("!", -9.0)] * first), of_completion(1, [("!", -9.0)] * second)]
        with pytest.raises(BadData, match="2 echoed prompts, and the usage does not say"):
            language_score([{"choices": uneven, "usage": usage(uneven, first + second)}])


def of_chat(i):
    content = [
        {"token": token, "logprob": x, "bytes": list(token.encode()), "top_logprobs": []}
        for token, x in zip(TOKENS[i][1:], LOG_PROBS[i][1:], strict=True)
    ]
    return {"choices": [{"index": 0, "logprobs": {"content": content}}]}


def test_answers_in_a_chat_have_the_bytes_of_their_tokens():
    rows = [of_chat(i) for i in range(3)]
    half = [
        {"token": "\\xe6\\x97", "logprob": -7.0, "bytes": [0xE6, 0x9C]},
        {"token": "\\xa5", "logprob": -0.5, "bytes": [0xAC]},
        {"token": " 日", "logprob": -0.125, "bytes": None},
    ]
    rows[2]["choices"][0]["logprobs"]["content"] = half
    got = language_score(rows)
    assert (got.nats, got.tokens) == (EXACT.nats, EXACT.tokens + 1)
    assert (got.bytes, got.characters, got.words) == (EXACT.bytes, EXACT.characters, EXACT.words)
    assert got.bits_per_byte_interval == EXACT.bits_per_byte_interval


def test_lines_of_batches_have_the_answer_inside(tmp_path):
    rows = [
        {"custom_id": f"doc-{i // 2}", "response": {"status_code": 200, "body": of_chat(i)}, "error": None}
        for i in range(3)
    ]
    failed = {"custom_id": "doc-9", "response": None, "error": {"code": "overloaded"}}
    path = lines(tmp_path / "a.jsonl", [*rows, failed])
    with pytest.raises(BadData, match=r"row 3: the request failed: .*overloaded"):
        language_score(path, document="custom_id")
    got = language_score(path, document="custom_id", on_bad_rows="skip")
    assert (got.nats, got.documents, got.bad_rows) == (EXACT.nats, 2, {"object": 1})


def of_lm_eval(i):
    nats, text = math.fsum(x for x in LOG_PROBS[i] if x), TEXTS[i]
    page = text + " @-@ "
    return {
        "doc_id": i,
        "doc": {"page": page},
        "arguments": {"gen_args_0": {"arg_0": text}},
        "resps": [[[str(nats)]]],
        "word_perplexity": [nats, len(page.split())],
        "byte_perplexity": [nats, len(page.encode())],
        "bits_per_byte": [nats, len(page.encode())],
    }


def test_samples_of_lm_evaluation_harness_have_the_bytes_of_the_text_that_was_scored(tmp_path):
    path = lines(tmp_path / "samples_wikitext.jsonl", map(of_lm_eval, range(3)))
    got = language_score(path, document="doc_id")
    assert (got.nats, got.bytes, got.words, got.tokens) == (WHOLE.nats, WHOLE.bytes, WHOLE.words, None)
    assert got.bits_per_byte_interval == WHOLE.bits_per_byte_interval
    in_python = [of_lm_eval(i) | {"arguments": [(TEXTS[i],)]} for i in range(3)]
    assert language_score(in_python).bytes == WHOLE.bytes
    theirs = language_score(path, bytes="bits_per_byte.1", words="word_perplexity.1")
    assert theirs.bytes == WHOLE.bytes + 3 * 5
    assert theirs.words == WHOLE.words + 3


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"choices": [{"text": "x", "logprobs": None}]}, "it has no log-probabilities that are known here"),
        ({"choices": [{"logprobs": {"content": [{"logprob": -1.0}]}}]}, "not written as servers write them"),
        ({"choices": "x"}, "not written as servers write them"),
        ({"choices": [{"logprobs": {"token_logprobs": [-(10**400)]}}]}, "a log-probability is NaN"),
        ({"choices": [{"logprobs": {"content": [{"token": "", "bytes": 9}]}}]}, "as servers write them"),
        ({"bits_per_byte": [-1.0]}, "not written as servers write them"),
    ],
)
def test_other_objects_are_refused_with_their_row_or_left_out(row, words):
    with pytest.raises(BadData, match=f"row 1: .*{words}"):
        language_score([of_chat(0), row])
    bad = language_score([of_chat(0), row], on_bad_rows="skip").bad_rows
    assert bad == {"nan" if "NaN" in words else "object": 1}
    with pytest.raises(TypeError, match=r"the source has a str; pass mappings, as row\.model_dump"):
        language_score({"choices": []})


def test_the_first_tokens_of_infinite_loss_are_named_whatever_is_read_with_them():
    """Two texts in one row, of which the second has the first places."""
    late = {"logprobs": {"token_logprobs": [-1.0] * 50 + [-9999.0] * 15}}
    early = {"logprobs": {"token_logprobs": [-9999.0] * 5}}
    rows = [{"choices": [{"logprobs": {"token_logprobs": [-9999.0] * 10}}]}, {"choices": [late, early]}]
    together, apart = LanguageState(), LanguageState()
    for state, batches in ((together, [rows]), (apart, [rows[:1], [{"choices": []}, rows[1]]])):
        for batch in batches:
            reader = ObjectReader(Names(), skip=True)
            for reading in reader.read(batch, ""):
                state.add(reading, skip=True)
    assert together.finalize().infinite_tokens == apart.finalize().infinite_tokens
    assert [token["token"] for token in apart.finalize().infinite_tokens] == [
        *range(10),
        *range(5),
        *range(50, 55),
    ]


# ---------------------------------------------------------------------------------------------------------- tables


def of_texts():
    return pa.table(
        {
            "lp": pa.array(LOG_PROBS, pa.list_(pa.float64())),
            "text": TEXTS,
            "size": [len(text.encode()) for text in TEXTS],
            "doc": ["a", "b", "b"],
        }
    )


def of_tokens():
    rows = [
        (x, t, d)
        for d, (log_probs, tokens) in enumerate(zip(LOG_PROBS, TOKENS, strict=True))
        for x, t in zip(log_probs, tokens, strict=True)
    ]
    lp, text, doc = zip(*rows, strict=True)
    return pa.table({"lp": pa.array(lp, pa.float64()), "text": text, "doc": doc})


@pytest.mark.parametrize("form", ["parquet", "feather", "arrows", "jsonl", "jsonl.gz"])
def test_lists_in_every_format(form, tmp_path):
    path = write(of_texts(), tmp_path / f"rows.{form}")
    same(language_score(path, log_probs="lp", text="text"), WHOLE, "bytes", "characters", "words")
    got = language_score(path, log_probs="lp", bytes="size", document="doc")
    assert (got.documents, got.bytes, got.words) == (2, WHOLE.bytes, None)
    other = write(of_texts(), tmp_path / f"other.{form}")
    assert language_score([path, other], log_probs="lp").documents == 6


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz", "jsonl"])
def test_tokens_in_every_format(form, tmp_path):
    path = write(of_tokens(), tmp_path / f"rows.{form}")
    got = language_score(path, log_probs="lp", text="text", document="doc")
    same(got, EXACT, "bytes", "characters")
    assert (got.words, got.unscored_tokens, got.documents) == (None, 3, 3)
    assert language_score(path, log_probs="lp").documents == 1
    other = write(of_tokens(), tmp_path / f"other.{form}")
    assert language_score([path, other], log_probs="lp").documents == 2  # each file


def test_an_object_with_an_arrow_stream_is_read_in_its_batches():
    batches = [batch for start in range(3) for batch in of_texts().slice(start, 1).to_batches()]
    same(language_score(pa.Table.from_batches(batches), log_probs="lp", text="text"), WHOLE, "bytes")


def test_faults_of_tables_are_named_by_file_and_row(tmp_path):
    (tmp_path / "a.csv").write_text("lp,n,doc\n-1,3,a\nx,4,a\n-2,,b\n-3,5,\n")
    common = {"log_probs": "lp", "bytes": "n", "document": "doc"}
    with pytest.raises(BadData, match=r"a\.csv, row 1: column 'lp' holds 'x', which is no number"):
        language_score(str(tmp_path / "a.csv"), **common)
    got = language_score(str(tmp_path / "a.csv"), on_bad_rows="skip", **common)
    assert (got.nats, got.bytes, got.bad_rows) == (1.0, 3, {"count": 1, "null": 1, "number": 1})
    path = write(pa.table({"lp": [[-1.0], None], "text": ["a", "b"]}), tmp_path / "b.parquet")
    with pytest.raises(BadData, match=r"b\.parquet, row 1: column 'lp' has no value"):
        language_score(path, log_probs="lp")


def test_nulls_in_lists_and_in_counts_are_told_apart():
    table = pa.table({"lp": pa.array([None, [-1.0], [-2.0]]), "bytes": pa.array([3, None, 5])})
    got = language_score(table, log_probs="lp", bytes="bytes", on_bad_rows="skip")
    assert (got.nats, got.bytes, got.bad_rows) == (2.0, 5, {"null": 1, "count": 1})


def test_columns_of_other_types_are_refused():
    columns = pa.table({"lp": [[-1.0], [-2.0]], "names": [["a"], []], "n": [1, 2], "t": ["a", "b"]})
    with pytest.raises(BadData, match=r"column 'names' of the table has type list.*; pass lists of numbers"):
        language_score(columns, log_probs="names")
    with pytest.raises(BadData, match="column 'n' of the table has type int64; pass a column of texts"):
        language_score(columns, log_probs="lp", text="n")
    with pytest.raises(
        BadData, match="column 't' of the table has values of type string; pass a column of numbers"
    ):
        language_score(columns, log_probs="t")
    coded = columns.set_column(3, "t", columns["t"].dictionary_encode())
    assert language_score(coded, log_probs="lp", text="t").bytes == 2


def test_columns_that_are_not_there_are_named(tmp_path):
    path = write(of_texts(), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="pass log_probs=, the name of its column of log-probabilities"):
        language_score(path)
    with pytest.raises(ValueError, match=r"has no column 'txt'.* Did you mean 'text'"):
        language_score(path, log_probs="lp", text="txt")
    with pytest.raises(BadData, match=r"row 0: it has nothing at 'meta\.lp'; its names are 'lp'"):
        language_score([{"lp": [-1.0]}], log_probs="meta.lp")
    with pytest.raises(TypeError, match="bytes has type list; with a source it is the name of a column"):
        language_score(path, log_probs="lp", bytes=[1])


def test_paths_lead_into_objects():
    rows = [{"out": {"lp": [-1.0, -2.0], "meta": [{"doc": d}]}} for d in "aab"]
    got = language_score(rows, log_probs="out.lp", document="out.meta.0.doc")
    assert (got.nats, got.documents) == (9.0, 2)
