"""Decoding: from a prompt's tokens to an answer, over any causal language model with a cache."""

from collections.abc import Callable, Iterator, Sequence

from rag.errors import InvalidInput
from rag.transformer.generation.autoregressive import write
from rag.transformer.generation.beam import search
from rag.transformer.generation.continuation import Continuation, Generated, Reason
from rag.transformer.generation.model_run import DecodableModel, ModelRun
from rag.transformer.generation.options import GenerationOptions, Strategy
from rag.transformer.generation.speculation import write_guessing
from rag.transformer.tokenization import TextTokenizer

__all__ = ["DecodableModel", "Generated", "GenerationOptions", "Reason", "Strategy", "generate", "stream"]


def generate(
    model: DecodableModel,
    tokenizer: TextTokenizer,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions | None = None,
    *,
    seeds: Sequence[int] | None = None,
    after_pass: Callable[[], object] = lambda: None,
) -> list[Generated]:
    """Continue each prompt; what it gets does not depend on the others, but for the rounding of the model.

    All prompts are one batch, but with ``prompt_lookup``: then they are continued one after another, since each gets
    ahead at a pace of its own. ``timeout_s`` then counts for each. ``seeds`` are the prompts' own, in place of the
    options' one, for several different answers to one prompt, say. ``after_pass`` is called after each pass of the
    model, but with the strategy beam; what it raises ends the work.

    Raises:
        InvalidInput: a prompt is empty or of another vocabulary, or there are not as many seeds as prompts.
        LimitExceeded: prompt and answer together would exceed the model's positions.
        ModelError: the model computes infinities.
    """
    options = options or GenerationOptions()
    if seeds is not None and len(seeds) != len(prompts):
        raise InvalidInput(f"There are {len(seeds)} seeds for {len(prompts)} prompts: give one for each.")
    if not prompts:
        return []
    if options.strategy == "beam":
        return search(_run(model, tokenizer, prompts, options), len(prompts), tokenizer, options)
    given = seeds if seeds is not None else [options.seed] * len(prompts)
    continuations = [Continuation(tokenizer, options, seed=seed) for seed in given]
    if options.prompt_lookup:
        for prompt, continuation in zip(prompts, continuations, strict=True):
            for _ in _passes(model, tokenizer, [prompt], [continuation], options):
                after_pass()
    else:
        for _ in _passes(model, tokenizer, prompts, continuations, options):
            after_pass()
    return [continuation.result() for continuation in continuations]


def stream(
    model: DecodableModel,
    tokenizer: TextTokenizer,
    prompt: Sequence[int],
    options: GenerationOptions | None = None,
) -> Iterator[str]:
    """Continue a prompt and yield its text as it grows: whole characters, and nothing of a stop text.

    The pieces joined are the ``text`` that ``generate`` gives. Closing the iterator ends the work. The prompt is
    checked at once, the rest happens as the pieces are asked for.

    Raises:
        InvalidInput: as ``generate``, or the strategy is beam, whose text is not known before its end.
        LimitExceeded: as ``generate``.
        ModelError: as ``generate``.
    """
    options = options or GenerationOptions()
    if options.strategy == "beam":
        raise InvalidInput(
            "Beam search knows its answer only at the end: to stream, use the strategy greedy or sample."
        )
    continuation = Continuation(tokenizer, options, streamed=True)
    return _pieces(_passes(model, tokenizer, [prompt], [continuation], options), continuation)


def _pieces(passes: Iterator[None], continuation: Continuation) -> Iterator[str]:
    for _ in passes:
        if text := continuation.take_text():
            yield text


def _passes(
    model: DecodableModel,
    tokenizer: TextTokenizer,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Continuation],
    options: GenerationOptions,
) -> Iterator[None]:
    run = _run(model, tokenizer, prompts, options)
    if options.prompt_lookup:
        return write_guessing(run, prompts[0], continuations[0], options)
    return write(run, continuations, options)


def _run(
    model: DecodableModel, tokenizer: TextTokenizer, prompts: Sequence[Sequence[int]], options: GenerationOptions
) -> ModelRun:
    return ModelRun(model, prompts, max_new_tokens=options.max_new_tokens, pad_id=tokenizer.pad_id)
