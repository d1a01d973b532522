"""The data of the comparison: passages of SQuAD files and questions over them, vectors, and made-up passages.

Paragraphs are cut by this project's splitter, so that every passage fits the embedding model's window and is one
passage in every system; exact duplicates are left out. Beyond ``MAX_EMBEDDED`` passages, or where the files hold no
more, passages are made up: forty words drawn from two real passages, under the first one's title. The vector of such a
passage lies between those two and is moved off by the difference of two others, as far as it is long: as near to its
neighbours as real ones are, and in the same directions.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from peer_systems.passages import Passage
from peer_systems.system import Vectors
from rag.errors import InvalidInput
from rag.evaluate.corpus import sample
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.input_format import ReaderTokenizer
from rag.records import Section
from rag.text.clean import clean_text, normalized_sha256
from rag.text.split import split_passages
from rag.training.squad import SquadParagraph, SquadQuestion, load_squad

MAX_EMBEDDED = 20_000
MAX_TOKENS = 200
"""The default of ``passage_tokens``."""
MADE_UP_WORDS = 40
EMBEDDED_AT_ONCE = 2_000
"""Passages whose vectors are kept in one file, so that a run that was stopped goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, and the ids of the passages of the paragraph that it was asked about."""

    text: str
    passage_ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Real passages, as many as were asked for or as there are, and questions about the first of them."""

    passages: tuple[Passage, ...]
    questions: tuple[Question, ...]


def build_corpus(files: Sequence[Path], *, size: int, asked_about: int, num_questions: int) -> Corpus:
    """The first ``size`` passages of the files, and questions of the first file whose paragraphs lie within the first
    ``asked_about`` passages, so that the same ones can be asked at every size.

    Raises:
        InvalidInput: a file is not in SQuAD format, or there is no such question.
    """
    tokenizer = ReaderTokenizer.load(model_folder(CARRIED_MODEL))
    ids: dict[str, str] = {}
    passages: list[Passage] = []
    questions: list[Question] = []
    for number, file in enumerate(files):
        squad = load_squad(file)
        of_paragraph: list[frozenset[str]] = []
        for paragraph in squad.paragraphs:
            if len(passages) >= size:
                break
            own = set()
            for text in _split(paragraph, tokenizer):
                known = ids.setdefault(normalized_sha256(text), f"p{len(passages)}")
                if known == f"p{len(passages)}":
                    passages.append(Passage(id=known, title=clean_text(paragraph.title), text=text))
                own.add(known)
            of_paragraph.append(frozenset(own))
        if number == 0:
            early = {passage.id for passage in passages[:asked_about]}
            questions = list(_questions(squad.questions, of_paragraph, early))
    if not questions:
        raise InvalidInput(f"{files[0]} has no question about its first {asked_about} passages.")
    return Corpus(passages=tuple(passages[:size]), questions=tuple(sample(questions, limit=num_questions, seed=0)))


def _split(paragraph: SquadParagraph, tokenizer: ReaderTokenizer) -> list[str]:
    text = clean_text(paragraph.text)
    pieces = split_passages(
        text, [Section(start=0, end=len(text))], count_tokens=tokenizer.count_tokens, max_tokens=MAX_TOKENS
    )
    return [piece.text for piece in pieces]


def _questions(
    asked: Sequence[SquadQuestion], of_paragraph: Sequence[frozenset[str]], early: set[str]
) -> Iterator[Question]:
    for question in asked:
        if question.paragraph < len(of_paragraph) and of_paragraph[question.paragraph] <= early:
            yield Question(text=question.question, passage_ids=of_paragraph[question.paragraph])


def embed_once(passages: Sequence[Passage], *, work: Path) -> Vectors:
    """Unit vectors (N, dimension) of passages in float32, kept in ``work`` by what was embedded."""
    folder = work / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Vectors] = []
    model = None
    for start in range(0, len(passages), EMBEDDED_AT_ONCE):
        texts = [passage.words for passage in passages[start : start + EMBEDDED_AT_ONCE]]
        file = folder / f"{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:16]}.npy"
        if not file.exists():
            model = model or SentenceTransformer(str(model_folder(CARRIED_MODEL)), device="cpu")
            encoded = model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
            unfinished = file.with_suffix(".part.npy")
            np.save(unfinished, encoded.astype(np.float32))
            unfinished.rename(file)
            print(f"vectors of {start + len(texts):,} of {len(passages):,} passages", flush=True)
        parts.append(np.load(file))
    return np.concatenate(parts)


def make_up(real: Sequence[Passage], vectors: Vectors, *, num: int) -> tuple[list[Passage], Vectors]:
    """``num`` passages that are made of real ones and their vectors, the same each time. See the module."""
    rng = random.Random(0)
    passages = []
    places = np.random.default_rng(0).integers(len(real), size=(num, 4))
    for number, (first, second) in enumerate(places[:, :2].tolist()):
        words = real[first].text.split() + real[second].text.split()
        text = f"Entry {number}: {' '.join(rng.choices(words, k=MADE_UP_WORDS))}."
        passages.append(Passage(id=f"m{number}", title=real[first].title, text=clean_text(text)))
    first, second, third, fourth = (vectors[column] for column in places.T)
    made = _unit(first + second) + _unit(third - fourth + 1e-6)
    return passages, _unit(made)


def _unit(vectors: Vectors) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
