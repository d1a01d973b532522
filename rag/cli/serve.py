"""``rag serve``."""

import ipaddress
from typing import Annotated

import typer

from rag.cli.output import note
from rag.cli.state import open_database, settings_of


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65_535)] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve anyone who can reach the port: there are no API keys yet.")
    ] = False,
) -> None:
    """Serve the REST API and the page to ask on."""
    import uvicorn

    from rag.api.app import create_app
    from rag.api.request_logs import configure_logs
    from rag.errors import InvalidInput, Unavailable

    settings = settings_of(context)
    address, number = host or settings.host, port or settings.port
    if not insecure and not _is_loopback(address):
        raise InvalidInput(
            f"Refusing to listen on {address}: anyone who reaches it could read and write everything, as there are no "
            "API keys yet. Listen on 127.0.0.1, or pass --insecure where the network protects the port."
        )
    with open_database(context):
        pass  # a server that cannot answer says so now, not at the first question
    app = create_app(settings)
    configure_logs(settings.log_format)
    note(f"serving on http://{address}:{number} (the API is described at /docs)")
    try:
        uvicorn.run(app, host=address, port=number, log_config=None, log_level="warning", access_log=False)
    except SystemExit as ended:  # it exits by itself, with a status that means something else here
        raise Unavailable(
            f"Cannot serve on {address}:{number}, for the reason above; choose another --host or --port."
        ) from ended


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
