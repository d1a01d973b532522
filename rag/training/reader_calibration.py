"""``rag train calibrate``: fitting a trained reader's scores, confidence and threshold to questions it has not seen."""

from dataclasses import replace
from pathlib import Path

from rag.errors import InvalidInput
from rag.reader.checkpoint import ReaderConfig, load_reader, save_config
from rag.reader.choosing import ScoringWeights
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.training.calibration import Calibration, calibrate, fit_faithful
from rag.training.calibration_cases import OnQuestion, read_cases
from rag.training.examples import ReaderExamples, split_by_article
from rag.training.passage_search import Embed
from rag.training.squad import SquadFile, load_squad
from rag.transformer.processor import choose_dtype

HELD_SEED = 1
HELD_SHARE = 0.05
"""The articles that training leaves out: with the same file, the same ones every time."""
NUM_QUESTIONS = 1_500
MIN_QUESTIONS = 50
"""Fewer say nothing about a probability."""


def fit_reader(
    model: ReaderModel,
    tokenizer: ReaderTokenizer,
    held: SquadFile,
    embed: Embed,
    *,
    passage_tokens: int,
    num_questions: int = NUM_QUESTIONS,
    on_question: OnQuestion,
) -> Calibration:
    """Calibrate on questions over their articles, on the processor and in the numbers that the reader answers with."""
    model.to("cpu").eval()
    examples = ReaderExamples(held, tokenizer, max_tokens=passage_tokens)
    dtype = choose_dtype("auto")
    cases = read_cases(
        model,
        tokenizer,
        examples,
        embed,
        limit=num_questions,
        seed=HELD_SEED,
        dtype=dtype,
        on_question=on_question,
    )
    return calibrate(cases)


def with_calibration(config: ReaderConfig, fitted: Calibration) -> ReaderConfig:
    """The config with what was fitted."""
    return replace(
        config,
        scoring=fitted.scoring,
        answerable=fitted.answerable,
        right=fitted.right,
        relevance=fitted.relevance,
        faithful=fitted.faithful,
        abstain_below=fitted.abstain_below,
    )


def recalibrate_reader(
    weights: Path,
    data: Path,
    *,
    encoder_folder: Path,
    embed: Embed,
    share: float,
    num_questions: int,
    on_question: OnQuestion,
) -> tuple[ReaderConfig, Calibration]:
    """Calibrate the reader in the folder ``weights`` anew and rewrite its ``config.json``; the weights stay.

    ``share`` of the articles of ``data`` are asked about: those that ``rag train reader`` leaves out if it is
    ``HELD_SHARE`` and the file the one trained on, all of them if it is 1.

    Raises:
        InvalidInput: the data cannot be read, or holds fewer than ``MIN_QUESTIONS`` answerable questions.
        ModelError: there is no reader in the folder.
    """
    model, config = load_reader(weights, encoder_folder)
    tokenizer = ReaderTokenizer.load(encoder_folder)
    fitted = fit_reader(
        model,
        tokenizer,
        _held_articles(data, share),
        embed,
        passage_tokens=config.passage_tokens,
        num_questions=num_questions,
        on_question=on_question,
    )
    config = with_calibration(config, fitted)
    save_config(weights, config)
    return config, fitted


def refit_faithfulness(
    weights: Path,
    data: Path,
    *,
    encoder_folder: Path,
    embed: Embed,
    share: float,
    num_questions: int,
    on_question: OnQuestion,
) -> ReaderConfig:
    """Fit only what faithfulness is computed with and rewrite ``config.json``: no answer and no other score changes.

    Arguments and errors are those of ``recalibrate_reader``.
    """
    model, config = load_reader(weights, encoder_folder)
    tokenizer = ReaderTokenizer.load(encoder_folder)
    cases = read_cases(
        model.eval(),
        tokenizer,
        ReaderExamples(_held_articles(data, share), tokenizer, max_tokens=config.passage_tokens),
        embed,
        limit=num_questions,
        seed=HELD_SEED,
        dtype=choose_dtype("auto"),
        on_question=on_question,
        with_gold=False,
    )
    config = replace(config, faithful=fit_faithful(cases, ScoringWeights(**config.scoring)))
    save_config(weights, config)
    return config


def _held_articles(data: Path, share: float) -> SquadFile:
    _, held = split_by_article(load_squad(data), share=share, seed=HELD_SEED)
    num_answerable = sum(bool(question.answers) for question in held.questions)
    if num_answerable < MIN_QUESTIONS:
        raise InvalidInput(
            f"{num_answerable} answerable questions are too few to calibrate on; {MIN_QUESTIONS} are needed, with a "
            "larger share of the articles perhaps."
        )
    return held
