"""Log-probabilities in the answers of servers, and in samples of lm-evaluation-harness."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["NotScored", "ScoredText", "number", "texts_in"]

Json = Mapping[str, Any]


class NotScored(ValueError):
    """An object without log-probabilities that can be scored; the message says why."""


class ScoredText(NamedTuple):
    """The log-probabilities of a text."""

    #: One for each token, None where there is none; or a single one.
    log_probs: list[float | None] | float | None
    #: What was scored, or the whole text; None if it is not known.
    text: str | None
    #: Whether the text has the tokens without a log-probability too.
    whole: bool = True
    #: The bytes of the text, where its characters may be broken.
    bytes: int | None = None
    #: How many tokens were left out because the model wrote them.
    generated: int = 0
    #: The fields that describe the text: of the row, of the answer in it, and of the part of the answer.
    about: Mapping[str, Any] = {}


def texts_in(row: Json) -> Iterator[ScoredText]:
    """Find the scored texts in an object.

    These are known: answers to completions and chats of OpenAI and of servers that speak its protocol, with
    ``logprobs``; those of vLLM with ``prompt_logprobs``, which are taken where there are both; lines of batch files
    that hold such an answer under ``response.body``; and samples of lm-evaluation-harness with the metrics
    ``bits_per_byte``, ``byte_perplexity`` or ``word_perplexity``.

    Raises
    ------
    NotScored
        If nothing of these is there.
    """
    try:
        yield from _found(row)
    except NotScored:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotScored(
            f"its log-probabilities are not written as servers write them: {error!r:.80}"
        ) from error


def _found(row: Json) -> Iterator[ScoredText]:
    for metric in ("bits_per_byte", "byte_perplexity", "word_perplexity"):
        if isinstance(row.get(metric), Sequence):
            yield _of_sample(row, metric)._replace(about=row)
            return
    body = _body(row)
    choices = body.get("choices") or [{}]
    generated = _generated(body, [choice.get("logprobs") for choice in choices])
    last = None
    for choice in choices:
        answer = {**body, **choice}
        prompt = answer.get("prompt_logprobs")
        if prompt and prompt == last:  # several answers to one prompt, which is scored once
            continue
        last = prompt
        # behind a prompt that is scored, the model wrote another text
        fields = {name: x for name, x in choice.items() if not (prompt and name == "text")}
        yield _of_choice(answer, generated)._replace(about={**fields, **body, **row})


def _body(row: Json) -> Json:
    response = row.get("response")
    if isinstance(response, Mapping) and isinstance(response.get("body"), Mapping):
        return response["body"]
    if "response" in row and row.get("error"):
        raise NotScored(f"the request failed: {row['error']!r:.80}")
    return row


def _generated(body: Json, log_probs: Sequence[Any]) -> int:
    """Return how many tokens the model wrote behind each echoed prompt, by what the answer says of its length."""
    usage = body.get("usage")
    values = [x.get("token_logprobs") or [] for x in log_probs if isinstance(x, Mapping)]
    echoed = values and all(x and x[0] is None for x in values)
    if not echoed or not isinstance(usage, Mapping) or not isinstance(usage.get("prompt_tokens"), int):
        return 0
    each, rest = divmod(sum(map(len, values)) - usage["prompt_tokens"], len(values))
    if (each not in (0, 1) and len(values) > 1) or rest or each < 0:
        raise NotScored(
            f"it has {len(values)} echoed prompts, and the usage does not say how many tokens were written behind each "
            "one; ask with max_tokens=1, or for one prompt at a time"
        )
    return each


def _of_choice(choice: Json, generated: int) -> ScoredText:
    """Read the part of an answer that is one text; the last `generated` tokens of an echoed prompt are none of it."""
    if choice.get("prompt_logprobs"):
        prompt = choice.get("prompt")
        return ScoredText(_of_prompt(choice), prompt if isinstance(prompt, str) else None)
    log_probs = choice.get("logprobs")
    if isinstance(log_probs, Mapping):
        if isinstance(log_probs.get("token_logprobs"), Sequence):
            return _of_completion(choice.get("text"), log_probs, generated)
        if isinstance(log_probs.get("content"), Sequence):
            return _of_chat(log_probs["content"])
    if any("perplexit" in name for name in choice):
        raise NotScored(
            "it has a perplexity and no log-probabilities. The mean of perplexities is not the perplexity of all "
            "tokens, because exp is convex and long texts count no more than short ones"
        )
    raise NotScored(
        "it has no log-probabilities that are known here, such as prompt_logprobs or logprobs; ask the server for "
        "them, or pass log_probs=, where they are"
    )


def _of_prompt(choice: Json) -> list[float | None]:
    """Return the log-probability of each token of a prompt, of vLLM's entries for it and the most likely ones.

    Its number tells it from the others; so does its rank, which is the lowest one, if it or the most likely token alone
    was asked for.
    """
    positions = choice["prompt_logprobs"]
    tokens = choice.get("prompt_token_ids")
    fewest = min((len(entries) for entries in positions if entries), default=0)
    if isinstance(tokens, Sequence) and len(tokens) == len(positions):
        chosen = [
            entries and _of_token(entries, token, i)
            for i, (entries, token) in enumerate(zip(positions, tokens, strict=True))
        ]
    elif fewest == 1 and all(_ranked(entries) for entries in positions if entries):
        chosen = [
            entries and max(entries.values(), key=lambda entry: entry.get("rank") or 0)
            for entries in positions
        ]
    else:
        raise NotScored(
            "prompt_logprobs has several tokens in each place, and nothing says which is the one of the prompt; ask "
            "for prompt_logprobs=0 or 1, or have prompt_token_ids beside it (return_token_ids)"
        )
    return [number(entry["logprob"]) if entry else None for entry in chosen]


def _ranked(entries: Json) -> bool:
    return len(entries) == 1 or all(entry.get("rank") for entry in entries.values())


def _of_token(entries: Json, token: Any, place: int) -> Json:
    for key in (str(token), token):
        if key in entries:
            return entries[key]
    raise NotScored(f"prompt_logprobs has no entry of token {token}, which is in place {place} of the prompt")


def _of_completion(text: Any, log_probs: Json, generated: int) -> ScoredText:
    """Read an answer to a completion; its text begins at the first token that is scored, if that is known."""
    end = len(log_probs["token_logprobs"]) - generated
    values = [number(x) for x in log_probs["token_logprobs"][:end]]
    start = next((i for i, x in enumerate(values) if x is not None), end)
    offsets = log_probs.get("text_offset")
    if (
        isinstance(text, str)
        and isinstance(offsets, Sequence)
        and len(offsets) == end + generated
        and start < end
    ):
        stop = offsets[end] - offsets[0] if generated else len(text)
        return ScoredText(values, text[offsets[start] - offsets[0] : stop], whole=False, generated=generated)
    return ScoredText(values, text if isinstance(text, str) and not generated else None, generated=generated)


def _of_chat(content: Sequence[Json]) -> ScoredText:
    """Read the tokens of an answer in a chat; bytes are those of the tokens."""
    parts = [
        bytes(list(token["bytes"]))
        if token.get("bytes") is not None
        else token["token"].encode("utf-8", "replace")
        for token in content
    ]
    whole = b"".join(parts)
    values = [number(token.get("logprob")) for token in content]
    return ScoredText(values, whole.decode("utf-8", "replace"), bytes=len(whole))


def _of_sample(row: Json, metric: str) -> ScoredText:
    """Read a sample whose text was scored as a whole; the text is the one that the model was given."""
    log_prob, _ = row[metric]
    arguments = row.get("arguments")
    if isinstance(arguments, Mapping):  # in files
        text = arguments["gen_args_0"]["arg_0"]
    else:  # in Python
        text = arguments[0][0] if arguments else None
    return ScoredText(float(log_prob), text if isinstance(text, str) else None)


def number(x: Any) -> float | None:
    """Return a log-probability; what is no number is NaN, which is a fault."""
    if x is None:
        return None
    if not isinstance(x, (int, float)) or isinstance(x, bool):
        return math.nan
    try:
        return float(x)
    except OverflowError:  # an integer of hundreds of digits
        return math.nan
