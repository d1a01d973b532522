"""How files are to be ingested: what a run over files remembers of its call, so that it can be run again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from rag.ingest.labels import Labels
from rag.ingest.readers.raw_file import FieldNames
from rag.records import Origin

EngineName = Literal["local", "ray"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """The options of a run over files.

    tags, origin: of all its documents.
    access_labels: who may see them; None leaves those that a document has.
    prune: also remove the documents whose files are gone from the paths.
    text_field, title_field, id_field: fields of JSON records; None: the usual ones.
    engine: where files are read and passages embedded: here, or on a Ray cluster.
    address: of the Ray cluster; None starts one of this machine alone.
    workers: processes that read files, 0: a thread of this one; on Ray, pieces done at once, 0: one for each processor.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = "real"
    access_labels: Sequence[str] | None = None
    prune: bool = False
    text_field: str | None = None
    title_field: str | None = None
    id_field: str | None = None
    engine: EngineName = "local"
    address: str | None = None
    workers: int = 0

    @property
    def labels(self) -> Labels:
        """What they say of the documents."""
        access_labels = None if self.access_labels is None else tuple(self.access_labels)
        return Labels(tags=self.tags, origin=self.origin, access_labels=access_labels)

    @property
    def field_names(self) -> FieldNames:
        """What they say of records."""
        return FieldNames(text=self.text_field, title=self.title_field, id=self.id_field)

    def as_json(self) -> dict[str, Any]:
        """As they are kept with the run."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The same again; options that this version does not know are left out."""
        return cls(**{one.name: values[one.name] for one in fields(cls) if one.name in values})


USUAL_OPTIONS = FileOptions()
