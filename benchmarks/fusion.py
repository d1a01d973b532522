"""How should the two legs be brought together, and what does the reader's relevance add? A table of nDCG@10.

    python benchmarks/fusion.py PATH... [--limit 200] [--split test] [--reranked 20] [--data-dir FOLDER]
        [--leave-out who what …]

Each PATH is a folder in BEIR's layout or a file in SQuAD format; its documents go into a collection of their own under
``--data-dir``. Both legs are asked once for each query, by the index that the service searches; the variants are then
computed from their scores and ranks. With ``--reranked N`` the first N passages are also judged by the reader; with
``--leave-out`` the keyword leg is asked without those words.
"""

import argparse
import math
import string
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag.assemble import Rag
from rag.config import Settings
from rag.evaluate.corpus import JudgedQuery, build_judged_corpus, sample
from rag.evaluate.metrics import ndcg
from rag.generators.reader_generator import reader_passages
from rag.records import OWNER, HitScores
from rag.retriever import hit_of
from rag.store import migrate
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.found_passages import load_hits

CANDIDATES = 100
Ranking = Mapping[int, float]
Variant = Callable[["Asked"], Ranking]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query and what was found: scores of both legs and document by passage id, and what the reader says."""

    grades: Mapping[int, int]
    scores: Mapping[int, HitScores]
    documents: Mapping[int, int]
    relevance: Mapping[int, float]

    def ndcg(self, ranking: Ranking) -> float:
        """nDCG@10 of documents, each at its best passage."""
        best = sorted(ranking, key=lambda passage: (-ranking[passage], passage))
        return ndcg(list(dict.fromkeys(self.documents[p] for p in best if p in self.documents)), self.grades, k=10)


def keyword(asked: Asked) -> Ranking:
    """BM25 alone."""
    return {p: s.keyword for p, s in asked.scores.items() if s.keyword is not None}


def vector(asked: Asked) -> Ranking:
    """Cosines alone."""
    return {p: s.vector or 0.0 for p, s in asked.scores.items() if s.vector_rank is not None}


def reciprocal_ranks(k: int, weight: float) -> Variant:
    """Reciprocal rank fusion."""

    def ranking(asked: Asked) -> Ranking:
        return {
            p: (weight / (k + s.keyword_rank) if s.keyword_rank else 0.0)
            + ((1 - weight) / (k + s.vector_rank) if s.vector_rank else 0.0)
            for p, s in asked.scores.items()
        }

    return ranking


def shipped(asked: Asked) -> Ranking:
    """As the service fuses, with its own settings."""
    return {p: s.fused or 0.0 for p, s in asked.scores.items()}


def _scaled(asked: Asked) -> tuple[Ranking, Ranking]:
    """BM25 by its maximum, cosines by their range."""
    bm25 = {p: s.keyword or 0.0 for p, s in asked.scores.items()}
    cosines = {p: s.vector or 0.0 for p, s in asked.scores.items()}
    best, low, high = max(bm25.values()) or 1.0, min(cosines.values()), max(cosines.values())
    return {p: x / best for p, x in bm25.items()}, {p: (x - low) / ((high - low) or 1.0) for p, x in cosines.items()}


def convex(weight: float) -> Variant:
    """Scores, with the same weights for every query."""

    def ranking(asked: Asked) -> Ranking:
        by_keyword, by_vector = _scaled(asked)
        return {p: weight * by_keyword[p] + (1 - weight) * by_vector[p] for p in asked.scores}

    return ranking


def convex_of_cosines(weight: float, factor: float) -> Variant:
    """Cosines as they are instead of by their range, so that a query whose nearest passage is far ahead trusts them."""

    def ranking(asked: Asked) -> Ranking:
        by_keyword, _ = _scaled(asked)
        return {p: weight * by_keyword[p] + factor * (s.vector or 0.0) for p, s in asked.scores.items()}

    return ranking


def adaptive(weight: float, standout: float) -> Variant:
    """Both legs by mean and deviation; the one whose best passage stands out more gains."""

    def ranking(asked: Asked) -> Ranking:
        both = np.array([[s.keyword or 0.0, s.vector or 0.0] for s in asked.scores.values()])
        z = (both - both.mean(axis=0)) / (both.std(axis=0) + 1e-9)
        by_keyword, by_vector = z.max(axis=0)
        odds = weight / (1 - weight) * math.exp(standout * (by_keyword - by_vector))
        return dict(zip(asked.scores, (z @ np.array([odds, 1]) / (1 + odds)).tolist(), strict=True))

    return ranking


def trusting_near_cosines(weight: float, *, steepness: float, middle: float) -> Variant:
    """A weight for each query: the nearer its nearest passage, the less the keyword leg counts."""

    def ranking(asked: Asked) -> Ranking:
        nearest = max(s.vector or 0.0 for s in asked.scores.values())
        return convex(weight / (1 + math.exp(steepness * (nearest - middle))))(asked)

    return ranking


def raised_by_neighbours(base: Variant, weight: float) -> Variant:
    """A passage before or after a good one in its document gains by it. Passages of a document have ids in a row."""

    def ranking(asked: Asked) -> Ranking:
        scores = base(asked)
        return {p: score + weight * max(_beside(asked, scores, p), default=0.0) for p, score in scores.items()}

    return ranking


def _beside(asked: Asked, scores: Ranking, passage: int) -> Iterator[float]:
    for other in (passage - 1, passage + 1):
        if other in scores and asked.documents.get(other) == asked.documents.get(passage):
            yield scores[other]


def reranked(base: Variant, weight: float) -> Variant:
    """A ranking with the reader's relevance added where it read."""

    def ranking(asked: Asked) -> Ranking:
        return {p: score + weight * asked.relevance.get(p, 0.0) for p, score in base(asked).items()}

    return ranking


VARIANTS: Mapping[str, Variant] = {
    "keyword (BM25)": keyword,
    "vector (cosine)": vector,
    "hybrid as shipped": shipped,
    **{f"reciprocal ranks, k = {k}, weight {w}": reciprocal_ranks(k, w) for k in (60, 5) for w in (0.4, 0.5)},
    **{f"convex, weight {w}": convex(w) for w in (0.2, 0.3, 0.4, 0.5, 0.6)},
    **{f"standard scores, weight {w}": adaptive(w, 0) for w in (0.2, 0.3, 0.4)},
    **{
        f"adaptive, weight {w}, standout {standout}": adaptive(w, standout)
        for w in (0.2, 0.3, 0.4)
        for standout in (0.4, 0.7, 1.0)
    },
    **{f"convex, weight 0.4, neighbours x {w}": raised_by_neighbours(convex(0.4), w) for w in (0.1, 0.3)},
    "convex, cosines as they are": convex_of_cosines(0.4, 1.6),
    "convex, weight by the nearest cosine": trusting_near_cosines(0.5, steepness=10, middle=0.65),
}
RERANKED: Mapping[str, Variant] = {
    f"{name}, reranked, relevance x {w}": reranked(base, w)
    for name, base in (("as shipped", shipped), ("convex, weight 0.4", convex(0.4)))
    for w in (0.3, 1.0, 1.7, 2.5)
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=None, help="Only a sample of so many queries of each.")
    parser.add_argument("--split", default="test", help="Of folders.")
    parser.add_argument("--reranked", type=int, default=0, help="So many passages are read.")
    parser.add_argument("--leave-out", nargs="+", default=[], help="Words that the keyword leg is not asked for.")
    parser.add_argument("--data-dir", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        settings = Settings(data_dir=arguments.data_dir or Path(temporary))
        database = Database(settings.resolved_database_url)
        migrate.upgrade(database)
        database.dispose()
        with Rag(settings) as service:
            asked = {path.stem: _ask(service, path, arguments) for path in arguments.paths}
    variants = {**VARIANTS, **(RERANKED if arguments.reranked else {})}
    names = " | ".join(f"{name} ({len(queries)})" for name, queries in asked.items())
    print(f"| nDCG@10 | {names} | mean gain over the better leg | least |")
    print("|---" * (len(asked) + 3) + "|")
    better = {name: max(_mean(queries, leg) for leg in (keyword, vector)) for name, queries in asked.items()}
    for label, variant in variants.items():
        figures = {name: _mean(queries, variant) for name, queries in asked.items()}
        gains = [figures[name] / better[name] - 1 for name in asked]
        cells = " | ".join(f"{value:.3f}" for value in figures.values())
        print(f"| {label} | {cells} | {sum(gains) / len(gains):+.1%} | {min(gains):+.1%} |")


def _mean(queries: Sequence[Asked], variant: Variant) -> float:
    return sum(asked.ndcg(variant(asked)) for asked in queries) / len(queries)


def _ask(service: Rag, path: Path, arguments: argparse.Namespace) -> list[Asked]:
    collection, queries = build_judged_corpus(
        path,
        split=arguments.split,
        ingester=service.ingester,
        database=service.database,
        on_progress=lambda _: None,
    )
    service.save_index(collection.name)
    queries = sample([query for query in queries if query.grades], limit=arguments.limit, seed=0)
    left_out = frozenset(arguments.leave_out)
    return [_ask_one(service, collection, query, num_read=arguments.reranked, left_out=left_out) for query in queries]


def _ask_one(service: Rag, collection: Collection, query: JudgedQuery, *, num_read: int, left_out: Set[str]) -> Asked:
    vector_of_query = service.embedders.get(collection.embedding_model).embed_query(query.text)
    words = [word for word in query.text.split() if word.strip(string.punctuation).lower() not in left_out]
    ranked = service.indexes.get(collection).searcher({}, OWNER)(
        " ".join(words),
        vector_of_query,
        mode="hybrid",
        candidates=CANDIDATES,
        keyword_weight=service.settings.keyword_weight,
        fusion=service.settings.fusion,
    )
    with service.database.read() as session:
        rows = load_hits(session, ranked.passage_ids)
    read = [(passage, scores) for passage, scores in ranked if passage in rows][:num_read]
    judged = service.reader.relevance(query.text, reader_passages([hit_of(rows[p], scores) for p, scores in read]))
    return Asked(
        grades=query.grades,
        scores=dict(ranked),
        documents={passage: row.document_id for passage, row in rows.items()},
        relevance={passage: relevance for (passage, _), relevance in zip(read, judged, strict=True)},
    )


if __name__ == "__main__":
    main()
