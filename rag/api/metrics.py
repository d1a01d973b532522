"""What a server counts and measures, in the format of Prometheus.

Every label takes few values: routes are templates, not paths, and nothing is labelled by collection, caller or text.
Each application has a registry of its own.
"""

from collections.abc import Iterable, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rag.assemble import Rag
from rag.errors import IndexUnavailable, Unavailable
from rag.observer import Observer, Outcome
from rag.store.uploads import count_waiting

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER, UNMATCHED = "other", "unmatched"


class Metrics(Observer):
    """The metrics of one application."""

    def __init__(self, *, max_concurrent_answers: int) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "rag_requests", "Requests that were answered.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "rag_request_seconds",
            "How long requests took.",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("rag_requests_in_flight", "Requests that are in work.", registry=registry)
        self._answers = Counter(
            "rag_answers",
            "Questions by what became of them; not_logged: made but not given, as the log could not be written.",
            ["outcome"],
            registry=self.registry,
        )
        self._steps = Histogram(
            "rag_answer_step_seconds",
            "How long the steps of answers took.",
            ["step"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._log_failures = Counter(
            "rag_answer_log_failures",
            "Answers that could not be logged, and so were not given.",
            registry=self.registry,
        )
        limit = Gauge("rag_answers_limit", "Questions that may be in work at once.", registry=registry)
        limit.set(max_concurrent_answers)
        for outcome in get_args(Outcome):
            self._answers.labels(outcome)

    def ended(self, outcome: Outcome, timings_ms: Mapping[str, float]) -> None:
        """Count a question and the time of its steps."""
        self._answers.labels(outcome).inc()
        if outcome == "not_logged":
            self._log_failures.inc()
        for step, milliseconds in timings_ms.items():
            self._steps.labels(step).observe(milliseconds / 1000)

    def request(self, *, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; ``route`` is the template of its path, None where there is no such route."""
        name, place = method if method in METHODS else OTHER, route or UNMATCHED
        self._requests.labels(name, place, str(status)).inc()
        self._request_seconds.labels(name, place).observe(seconds)


class ServiceMetrics(Collector):
    """What is looked up when somebody asks for it: answers in work, indexes, uploads that wait."""

    def __init__(self, service: Rag) -> None:
        self._service = service

    def _shared(self) -> Iterable[Metric]:
        """What is shared with other processes; nothing where nothing is."""
        service = self._service
        if service.shared_server is not None:
            up = service.shared_server.problem() is None
            yield GaugeMetricFamily("rag_redis_up", "Whether the Redis server answers.", up)
        if service.answer_cache is not None:
            lookups = service.answer_cache.lookups()
            metric = CounterMetricFamily(
                "rag_repeated_answers", "Questions by whether their answer was in the log already.", labels=["found"]
            )
            metric.add_metric(["yes"], lookups.num_found)
            metric.add_metric(["no"], lookups.num_missed)
            yield metric

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now; without those of the database where it does not answer."""
        service = self._service
        in_work, waiting = service.answerer.queue.load() if service.is_loaded else (0, 0)
        yield GaugeMetricFamily("rag_answers_in_work", "Questions in work.", in_work)
        yield GaugeMetricFamily("rag_answers_waiting", "Questions that wait for a place.", waiting)
        yield from self._shared()
        yield from self._indexed()
        try:
            with service.database.read() as session:
                uploads = count_waiting(session)
        except Unavailable:
            yield GaugeMetricFamily("rag_database_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("rag_database_up", "Whether the database answers.", 1)
        yield GaugeMetricFamily("rag_uploads_waiting", "Uploads accepted and not yet worked on.", uploads)

    def _indexed(self) -> Iterable[Metric]:
        """What the open indexes hold, as far as the servers answer that have to be asked."""
        service = self._service
        indexes = service.indexes.opened()
        yield GaugeMetricFamily("rag_indexes_open", "Indexes of collections that are open.", len(indexes))
        try:
            if service.milvus is not None:
                service.indexes.check()
                yield GaugeMetricFamily("rag_milvus_up", "Whether the Milvus server answers.", 1)
            passages = sum(map(len, indexes))
            yield GaugeMetricFamily("rag_index_passages", "Passages in the open indexes.", passages)
            behind = sum(index.changes_behind() for index in indexes)
            yield GaugeMetricFamily(
                "rag_index_changes_behind", "Committed changes that the open indexes do not hold yet.", behind
            )
        except IndexUnavailable:
            yield GaugeMetricFamily("rag_milvus_up", "Whether the Milvus server answers.", 0)
        except Unavailable:
            return  # the database, of which others tell
