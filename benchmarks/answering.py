"""How long does an answer take, stage by stage, as shipped?

    rag ingest examples/handbook && python benchmarks/answering.py [--rounds N]

The thirty questions of the handbook are asked one after the other; the first round warms up and is not counted.
"""

import argparse
from pathlib import Path

import rag
from rag.evaluate.metrics import latency_ms
from rag.training.squad import load_squad

QUESTIONS = Path(__file__).parents[1] / "examples/questions.json"


def main() -> None:
    """Ask, and print the median and the 95th percentile of each stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    questions = [asked.question for asked in load_squad(QUESTIONS).questions]
    with rag.open() as service:
        for question in questions:
            service.ask(question)
        timings = [service.ask(question).timings_ms for _ in range(rounds) for question in questions]
    print(f"{len(timings)} answers, milliseconds")
    for stage, figures in latency_ms(timings).items():
        print(f"{stage:9} p50 {figures['p50']:7.1f}  p95 {figures['p95']:7.1f}")


if __name__ == "__main__":
    main()
