"""Which tables and views ``rag sql`` and the role ``rag_reader`` may read: those named here, and no others.

A new table stays unreadable until it is named. What proves who somebody is (hashes of keys, sessions) belongs into
``KEPT_BACK``, and so do the bytes of models, which nobody can read as rows; a test asks of every table in which of the
two it is.
"""

from rag.store.views import VIEWS

READABLE_TABLES = frozenset(
    (
        "alembic_version",
        "answer_context_documents",
        "answer_access_labels",
        "answer_passages",
        "answer_scores",
        "answers",
        "citations",
        "collections",
        "conversations",
        "dataset_documents",
        "dataset_drafts",
        "dataset_erasures",
        "datasets",
        "document_access_labels",
        "document_attributes",
        "document_versions",
        "documents",
        "embedding_generations",
        "evaluation_results",
        "evaluation_runs",
        "feedback",
        "index_changes",
        "ingestion_failures",
        "ingestion_files",
        "ingestion_runs",
        "model_files",
        "models",
        "near_duplicate_bands",
        "passage_embeddings",
        "passages",
        "shared_vectors",
        "training_points",
        "training_runs",
        "uploads",
        "users",
    )
)
KEPT_BACK = frozenset(("api_keys", "audit_events", "idempotency_keys", "model_file_parts", "sign_ins"))
"""Tables that are known and not to be read."""
READABLE = READABLE_TABLES | {view.name for view in VIEWS}
