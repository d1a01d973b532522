import copy
import random

import pytest
import torch

from rag.errors import InvalidInput
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.training.batches import BatchOptions, ReaderBatch, ReaderBatches, make_batch, plan_batches
from rag.training.batches_ahead import BatchesAhead
from rag.training.examples import ReaderExamples
from rag.training.objective import reader_losses, teach
from rag.training.squad import SquadFile, SquadParagraph, SquadQuestion

TOWNS = {"Lund": "Anna", "Malmo": "Karl", "Umea": "Nils", "Gavle": "Olga", "Boras": "Rolf", "Vaxjo": "Elsa"}


@pytest.fixture
def examples(tokenizer: ReaderTokenizer) -> ReaderExamples:
    texts = [
        f"The bakery of {town} was opened by {name} in 19{20 + i}. It burnt down in 19{50 + i}. Nobody was hurt. "
        f"A school stands there today."
        for i, (town, name) in enumerate(TOWNS.items())
    ]
    return ReaderExamples(
        SquadFile(
            paragraphs=tuple(SquadParagraph(title=town, text=text) for town, text in zip(TOWNS, texts, strict=True)),
            questions=tuple(
                SquadQuestion(
                    id=str(i),
                    question=f"Who opened the bakery of {town}?",
                    paragraph=i,
                    answers=((name, texts[i].index(name)),),
                )
                for i, (town, name) in enumerate(TOWNS.items())
            ),
        ),
        tokenizer,
        max_tokens=200,
    )


def _batch(examples: ReaderExamples, tokenizer: ReaderTokenizer, *, seed: int = 0) -> ReaderBatch:
    negatives = [[(i + 1) % len(TOWNS)] for i in range(len(TOWNS))]
    return make_batch(
        examples,
        negatives,
        range(len(TOWNS)),
        options=BatchOptions(num_negatives=3, num_near_misses=4),
        rng=random.Random(seed),
        tokenizer=tokenizer,
    )


def test_only_the_right_pairs_are_relevant_and_have_an_answer(
    examples: ReaderExamples, tokenizer: ReaderTokenizer
) -> None:
    batch = _batch(examples, tokenizer)
    Q = len(TOWNS)
    assert len(batch.relevant_P) == Q + 3 + 4
    assert batch.relevant_P.tolist() == [1.0] * Q + [0.0] * 7
    assert (batch.first_P[Q:] == 0).all()
    for row, name in enumerate(TOWNS.values()):
        answer = batch.pairs.ids_PL[row, batch.first_P[row] : batch.last_P[row] + 1].tolist()
        assert answer == tokenizer.encode([name])[0].ids


def test_near_misses_are_not_rivals_in_the_memory(examples: ReaderExamples, tokenizer: ReaderTokenizer) -> None:
    batch = _batch(examples, tokenizer)
    rivals = batch.pairs_QG[:, 1]
    assert sorted(rivals[rivals >= 0].tolist()) == [6, 7, 8]
    assert batch.pairs_QG[:, 0].tolist() == list(range(6))


def test_a_question_gets_several_misleading_passages_no_two_alike(
    examples: ReaderExamples, tokenizer: ReaderTokenizer
) -> None:
    everything_else = [[j for j in range(len(TOWNS)) if j != i] for i in range(len(TOWNS))]
    batch = make_batch(
        examples,
        everything_else,
        range(len(TOWNS)),
        options=BatchOptions(num_negatives=2 * len(TOWNS) + 2, num_near_misses=0),
        rng=random.Random(0),
        tokenizer=tokenizer,
    )
    filled_QG = batch.pairs_QG >= 0
    assert filled_QG.sum(dim=0).tolist() == [6, 6, 6, 2]
    hard_QG = batch.pairs_QG[:, 1:]
    texts = [[tuple(batch.pairs.ids_PL[p].tolist()) for p in row if p >= 0] for row in hard_QG.tolist()]
    assert sum(len(row) for row in texts) == 14
    # Now and then one is drawn at random instead, which may be one that is there already.
    assert sum(len(set(row)) for row in texts) >= 12


def test_more_near_misses_than_questions_are_refused() -> None:
    with pytest.raises(InvalidInput, match="9 near misses are more than the 8 questions"):
        BatchOptions(num_questions=8, num_near_misses=9)


def test_batches_made_ahead_by_other_processes_are_the_same(
    examples: ReaderExamples, tokenizer: ReaderTokenizer
) -> None:
    options = BatchOptions(num_questions=3, num_negatives=1, num_near_misses=1)
    source = ReaderBatches(examples, [[0]] * len(TOWNS), tokenizer, options=options, seed=4)
    ahead = BatchesAhead(source, num_steps=6, num_workers=2)
    for step in (0, 1, 2, 4, 5, 3):  # in order as the trainer asks, and out of it as after a resume
        assert torch.equal(ahead.batch(step).pairs.ids_PL, source.batch(step).pairs.ids_PL)


def test_a_batch_is_a_function_of_its_seed(examples: ReaderExamples, tokenizer: ReaderTokenizer) -> None:
    one, same, other = (_batch(examples, tokenizer, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.pairs.ids_PL, same.pairs.ids_PL)
    assert one.pairs.ids_PL.shape != other.pairs.ids_PL.shape or not torch.equal(one.pairs.ids_PL, other.pairs.ids_PL)


def test_batches_of_a_run_do_not_depend_on_what_was_asked_before(
    examples: ReaderExamples, tokenizer: ReaderTokenizer
) -> None:
    options = BatchOptions(num_questions=3, num_negatives=1, num_near_misses=1)
    one, other = (ReaderBatches(examples, [[0]] * len(TOWNS), tokenizer, options=options, seed=4) for _ in range(2))
    later = [one.batch(step) for step in range(4)][3]
    assert torch.equal(later.pairs.ids_PL, other.batch(3).pairs.ids_PL)
    assert len(later) == 3


def test_every_question_is_planned_once_an_epoch(examples: ReaderExamples) -> None:
    epochs = [plan_batches(examples, num_questions=2, seed=1, epoch=epoch) for epoch in range(2)]
    assert all(sorted(sum(batches, [])) == list(range(6)) for batches in epochs)
    assert epochs[0] != epochs[1]


def test_losses_fall_to_none_only_where_the_model_is_right(
    examples: ReaderExamples, tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    model = tiny_model.train()
    batch = _batch(examples, tokenizer)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    totals = []
    for _ in range(160):
        losses = reader_losses(model, batch)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        totals.append(float(losses.total.detach()))
    assert totals[-1] < 0.3 * totals[0]
    with torch.no_grad():
        encoded = model.eval().encode(batch.pairs)
    assert (encoded.relevance_P[:6] > 0).all()
    nothing_P = encoded.start_null_P > encoded.start_PL.max(dim=1).values
    assert nothing_P.tolist() == [False] * 6 + [True] * 7


def test_a_reader_learns_from_its_teachers_what_the_data_does_not_say(
    examples: ReaderExamples, tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    batch = _batch(examples, tokenizer)
    model = copy.deepcopy(tiny_model).train()
    one, other = copy.deepcopy(tiny_model).eval(), copy.deepcopy(tiny_model).eval()
    with torch.no_grad():  # both see relevance everywhere, one more than the other
        for teacher, height in ((one, 4.0), (other, 8.0)):
            teacher.relevance[2].bias.add_(height)
    taught = teach([one, other], batch)
    plain = one.encode(batch.pairs).relevance_P
    torch.testing.assert_close(taught.relevance_P, plain + 2.0)
    torch.testing.assert_close(teach([one], batch).relevance_P, plain)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    for _ in range(80):
        losses = reader_losses(model, batch, taught)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    with torch.no_grad():
        learned_P = model.eval().encode(batch.pairs).relevance_P
        alone = reader_losses(one, batch)
        agreeing = reader_losses(one, batch, teach([one], batch))
    # The data alone says that the last seven are irrelevant; the teachers, who are believed more, that they are not.
    assert (learned_P[6:] > 0).all()
    # A reader that says what its teacher says has the data's part of the loss left, and no other.
    torch.testing.assert_close(agreeing.span, alone.span * 0.3)
    torch.testing.assert_close(agreeing.relevance, alone.relevance * 0.3)
    torch.testing.assert_close(agreeing.token, alone.token)


def test_scoring_targets_at_once_is_stepping_through_them(
    examples: ReaderExamples, tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    batch = _batch(examples, tokenizer)
    with torch.inference_mode():
        memory = tiny_model.remember(tiny_model.encode(batch.pairs), batch.pairs, batch.pairs_QG)
        scores, _ = tiny_model.step(batch.input_QT, batch.copied_from_QT, memory)
        token_N, copy_NS = tiny_model.score_targets(batch.input_QT, batch.copied_from_QT, memory, batch.target_QT)
    places = (batch.target_QT >= 0).nonzero().tolist()
    assert len(places) == len(token_N)
    for (row, step), token, copy_S in zip(places, token_N, copy_NS, strict=True):
        torch.testing.assert_close(copy_S, scores.copy_QTS[row, step])
        target = batch.target_QT[row, step]
        same = memory.ids_QS[row] == target
        either = torch.logaddexp(
            scores.copy_QTS[row, step].masked_fill(~same, -1e4).logsumexp(-1), scores.write_QTV[row, step, target]
        )
        torch.testing.assert_close(token, either, atol=1e-4, rtol=1e-4)
