"""``rag serve``."""

from typing import Annotated

import typer

from rag.cli.output import note
from rag.cli.state import open_database, settings_of


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65_535)] = None,
) -> None:
    """Serve the REST API and the page to ask on. On any address but loopback, callers need an API key."""
    import uvicorn

    from rag.api.app import create_app
    from rag.api.hosts import is_loopback
    from rag.api.request_logs import configure_logs
    from rag.errors import InvalidInput, Unavailable
    from rag.store.api_keys import count_usable_keys

    settings = settings_of(context)
    address, number = host or settings.host, port or settings.port
    settings = settings.model_copy(update={"host": address, "port": number})
    with open_database(context) as database:  # a server that cannot answer says so now, not at the first question
        needs_keys = settings.require_api_key == "always" or not is_loopback(address)
        with database.read() as session:
            if needs_keys and not count_usable_keys(session):
                raise InvalidInput(
                    f"Refusing to listen on {address}: callers need API keys there, and there is none that is usable. "
                    "Make one with `rag keys create --user YOU --role administrator`, or listen on 127.0.0.1."
                )
    app = create_app(settings)
    configure_logs(settings.log_format)
    note(f"serving on http://{address}:{number} (the API is described at /docs)")
    try:
        uvicorn.run(app, host=address, port=number, log_config=None, log_level="warning", access_log=False)
    except SystemExit as ended:  # it exits by itself, with a status that means something else here
        raise Unavailable(
            f"Cannot serve on {address}:{number}, for the reason above; choose another --host or --port."
        ) from ended
