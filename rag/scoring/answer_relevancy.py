"""answer_relevancy: is the answer about what was asked?"""

from rag.index.embedders import Embedders
from rag.records import Citation, Hit
from rag.scoring.scorer import Judged
from rag.text.sentences import sentence_spans


class AnswerRelevancy:
    """The cosine of the question and the sentences that the answer was copied from, 0 where it is negative.

    The sentence stands for the answer: "1987" alone resembles no question. After the metric of the same name in
    RAGAS (Es et al., 2023), which has a language model guess the question back from the answer.
    """

    metric = "answer_relevancy"
    version = "1"

    def __init__(self, embedders: Embedders) -> None:
        self._embedders = embedders

    def score(self, judged: Judged) -> float | None:
        """0 to 1; None without a citation."""
        sentences = [s for citation in judged.citations if (s := _sentence_of(citation, judged.hits))]
        if not sentences:
            return None
        vector = self._embedders.get(judged.embedding_model).embed_query(" ".join(dict.fromkeys(sentences)))
        return max(0.0, min(1.0, float(vector.astype("f4") @ judged.question_vector.astype("f4"))))


def _sentence_of(citation: Citation, hits: tuple[Hit, ...]) -> str | None:
    """The sentences of the cited passage that the citation touches."""
    for hit in hits:
        if hit.passage_id == citation.passage_id:
            start, end = citation.start - hit.start, citation.end - hit.start
            touched = [(a, b) for a, b in sentence_spans(hit.text) if a < end and b > start]
            return hit.text[touched[0][0] : touched[-1][1]] if touched else None
    return None
