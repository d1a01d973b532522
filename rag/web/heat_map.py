"""An answer's explanation as one HTML page: its tokens, and the passages coloured by how much was copied from where.

The page needs nothing beside it and runs no script. Text of documents is escaped, and the page's own policy forbids
whatever would slip through.
"""

from collections.abc import Sequence
from html import escape

from rag.records import Answer, ExplainedToken, Explanation, Hit, SourceWeight

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --ink: #1d1f24; --paper: #fff; --line: #ddd; --heat: 255, 170, 30; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e9e7e2; --paper: #1b1d21; --line: #3a3d45; --heat: 235, 140, 20; }
}
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.6 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.25rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; font-size: .9rem; } .wide { overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .2rem .5rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.passage { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--line); padding-left: 1rem; }
.quiet { opacity: .7; font-size: .9rem; } mark { color: inherit; border-radius: .2rem; background: none; }
"""


def heat_map_page(answer: Answer, explanation: Explanation) -> str:
    """The page for an answer and its explanation."""
    numbers = {hit.passage_id: number for number, hit in enumerate(answer.passages, start=1)}
    by_place = list(zip(explanation.passage_ids, explanation.passage_weights, strict=True))
    weight_of = dict(by_place)
    withheld = '<p class="quiet">Withheld: the passages do not seem to hold an answer.</p>' if answer.abstained else ""
    passages = "\n".join(
        _passage(hit, numbers[hit.passage_id], weight_of.get(hit.passage_id, 0.0), explanation.sources)
        for hit in answer.passages
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(answer.question)}</title><style>{STYLE}</style></head><body>
<h1>{escape(answer.question)}</h1>
<p>{" ".join(_token(token) for token in explanation.tokens) or "No answer."}</p>{withheld}
<p class="quiet">Confidence {answer.confidence:.0%} · {escape(answer.model)} · answer {answer.id}.
Colour: the probability that the decoder copies from there. Point at a word for its number.</p>
<h2>Tokens</h2>
{_table(explanation, numbers)}
<h2>Passages</h2>
{passages}
</body></html>
"""


def _token(token: ExplainedToken) -> str:
    where = "written" if token.passage_id is None else f"copied with {token.copied:.0%}"
    return _mark(token.text, token.copied, f"{where}, probability {token.probability:.0%}")


def _mark(text: str, weight: float, tooltip: str) -> str:
    strength = min(1.0, max(0.0, weight))
    return (
        f'<mark style="background-color: rgba(var(--heat), {strength:.3f})" title="{escape(tooltip)}">'
        f"{escape(text)}</mark>"
    )


def _table(explanation: Explanation, numbers: dict[int, int]) -> str:
    shown = sorted((numbers[passage_id], place) for place, passage_id in enumerate(explanation.passage_ids))
    head = "".join(f"<th>[{number}]</th>" for number, _ in shown)
    rows = []
    for token in explanation.tokens:
        weights = "".join(
            f'<td style="background-color: rgba(var(--heat), {token.passage_weights[place]:.3f})">'
            f"{token.passage_weights[place]:.2f}</td>"
            for _, place in shown
        )
        rows.append(
            f"<tr><td>{escape(token.text)}</td><td>{token.probability:.2f}</td><td>{token.copied:.2f}</td>{weights}"
            f"<td>{token.written:.2f}</td></tr>"
        )
    return (
        f'<div class="wide"><table><tr><th>token</th><th>probability</th><th>copied</th>{head}<th>written</th></tr>'
        f"{''.join(rows)}</table></div>"
    )


def _passage(hit: Hit, number: int, weight: float, sources: Sequence[SourceWeight]) -> str:
    pieces, at = [], 0
    inside = sorted((s for s in sources if s.passage_id == hit.passage_id), key=lambda source: source.start)
    for source in inside:
        start, end = source.start - hit.start, source.end - hit.start
        pieces.append(escape(hit.text[at:start]))
        pieces.append(_mark(hit.text[start:end], source.weight, f"{source.weight:.3f}"))
        at = end
    pieces.append(escape(hit.text[at:]))
    relevance = "" if hit.scores.relevance is None else f"relevance {hit.scores.relevance:.2f} · "
    synthetic = "synthetic document · " if hit.origin == "synthetic" else ""
    return (
        f'<h3>[{number}] {escape(hit.title)}</h3><p class="quiet">{synthetic}{relevance}weight {weight:.2f}</p>'
        f'<div class="passage">{"".join(pieces)}</div>'
    )
