"""How a route gets at the service."""

from typing import Annotated

from fastapi import Depends, Request

from rag.assemble import Rag


def get_service(request: Request) -> Rag:
    """The one service of this process."""
    service = request.app.state.service
    assert isinstance(service, Rag)
    return service


Service = Annotated[Rag, Depends(get_service)]
