import pytest
import torch

from rag.transformer.conditioned import ConditionedModel
from rag.transformer.generation import GenerationOptions, generate, stream
from rag.transformer.layer_shape import LayerShape
from rag.transformer.sequence_to_sequence import SequenceToSequence, SequenceToSequenceConfig
from rag.transformer.tokenization import TextTokenizer

SOURCES = ["abc", "defghab", "h"]
LONGEST = 7
NUM_NEW = 9


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.train_characters(["abcdefgh"])


@pytest.fixture(scope="module")
def model(tokenizer: TextTokenizer) -> SequenceToSequence:
    torch.manual_seed(0)
    model = SequenceToSequence(
        SequenceToSequenceConfig(
            vocabulary=tokenizer.vocabulary_size,
            shape=LayerShape(width=32, num_heads=4, hidden=48, norm="rms", activation="swiglu", pre_norm=True),
            num_encoder_layers=2,
            num_decoder_layers=2,
            max_positions=16,
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def _sources(tokenizer: TextTokenizer, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    encoded = [tokenizer.encode(text) for text in texts]
    ids = torch.tensor([[*one, *[tokenizer.pad_id] * (LONGEST - len(one))] for one in encoded])
    return ids, torch.arange(LONGEST)[None] < torch.tensor([[len(one)] for one in encoded])


def _write(model: SequenceToSequence, tokenizer: TextTokenizer, texts: list[str], **options: object) -> list[list[int]]:
    conditioned = ConditionedModel(model, *_sources(tokenizer, texts))
    prompts = [[tokenizer.start_id]] * len(texts)
    chosen = GenerationOptions(max_new_tokens=NUM_NEW, **options)  # type: ignore[arg-type]
    return [list(one.ids) for one in generate(conditioned, tokenizer, prompts, chosen)]  # type: ignore[arg-type]


def test_greedy_targets_are_the_likeliest_tokens_without_any_cache(
    model: SequenceToSequence, tokenizer: TextTokenizer
) -> None:
    source, valid = _sources(tokenizer, SOURCES)
    for row, ids in enumerate(_write(model, tokenizer, SOURCES)):
        target = [tokenizer.start_id]
        with torch.inference_mode():
            for token in ids:
                logits = model(source[row : row + 1], valid[row : row + 1], torch.tensor([target]))
                assert int(logits[0, -1].argmax()) == token
                target.append(token)


@pytest.mark.parametrize("options", [{}, {"strategy": "beam", "num_beams": 3}, {"strategy": "sample", "seed": 4}])
def test_a_target_is_the_same_alone_and_among_others(
    model: SequenceToSequence, tokenizer: TextTokenizer, options: dict[str, object]
) -> None:
    together = _write(model, tokenizer, SOURCES, **options)
    assert together == [_write(model, tokenizer, [source], **options)[0] for source in SOURCES]


def test_one_beam_is_greedy_and_guessing_ahead_changes_nothing(
    model: SequenceToSequence, tokenizer: TextTokenizer
) -> None:
    greedy = _write(model, tokenizer, SOURCES[:1])
    assert _write(model, tokenizer, SOURCES[:1], strategy="beam", num_beams=1) == greedy
    assert _write(model, tokenizer, SOURCES[:1], prompt_lookup=3) == greedy


def test_target_can_be_streamed(model: SequenceToSequence, tokenizer: TextTokenizer) -> None:
    conditioned = ConditionedModel(model, *_sources(tokenizer, SOURCES[:1]))
    options = GenerationOptions(max_new_tokens=NUM_NEW)
    assert tokenizer.start_id is not None
    pieces = list(stream(conditioned, tokenizer, [tokenizer.start_id], options))
    (whole,) = generate(conditioned, tokenizer, [[tokenizer.start_id]], options)
    assert "".join(pieces) == whole.text


def test_each_target_needs_its_own_source_and_all_as_long_a_beginning(
    model: SequenceToSequence, tokenizer: TextTokenizer
) -> None:
    conditioned, options = ConditionedModel(model, *_sources(tokenizer, SOURCES)), GenerationOptions(max_new_tokens=3)
    assert tokenizer.start_id is not None
    with pytest.raises(ValueError, match="2 targets for 3 sources"):
        generate(conditioned, tokenizer, [[tokenizer.start_id]] * 2, options)
    with pytest.raises(ValueError, match="as many tokens"):
        generate(conditioned, tokenizer, [[tokenizer.start_id]] * 2 + [[tokenizer.start_id, 5]], options)
