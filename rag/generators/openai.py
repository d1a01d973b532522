"""A language model behind an HTTP server that speaks the OpenAI protocol: llama.cpp, vLLM, Ollama, a cloud.

Questions and passages are sent to that server, and the key to no other: redirects are not followed, and the proxies and
passwords of the environment are not used.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal

from rag.cancellation import NEVER, Cancellation
from rag.errors import Cancelled, GeneratorUnavailable, InvalidInput
from rag.generators.chat_model import ModelOptions, Reply
from rag.generators.completion_stream import BadReply, Completion, parse_object, read_bounded, read_completion
from rag.generators.prompt import Prompt
from rag.generators.server_failures import PassingFailure, failure_of

CONNECT_TIMEOUT_S = 5.0
CHECK_TIMEOUT_S = 5.0
FIRST_WAIT_S = 0.5
"""Before the first retry; doubled for each one after it."""
MAX_WAIT_S = 20.0
"""A server that asks for a longer pause than this is unavailable: nobody waits so long for an answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions(ModelOptions):
    """Where the server is, and how it is asked."""

    url: str
    model: str = ""
    api_key: str = field(default="", repr=False)
    read_timeout_s: float = 60.0
    retries: int = 2


class OpenAIServer:
    """A ``ChatModel``. Safe to share between threads: each call has a connection of its own."""

    one_at_a_time = False
    prompt_setting = "generator_prompt_chars"
    # Which weights a server has loaded cannot be seen from here; a hash of their name would only look like knowledge.
    weights_sha256 = ""

    def __init__(self, options: ServerOptions) -> None:
        """Nothing is sent yet; the server may come up later.

        Raises:
            InvalidInput: the URL cannot be used.
        """
        try:
            self._url = str(httpx2.URL(options.url)).rstrip("/")
        except httpx2.InvalidURL as error:
            raise InvalidInput(f"The URL in the setting generator cannot be used: {error}.") from error
        self._options = options
        self._only_model = ""
        self._ssl = httpx2.create_ssl_context()  # once: it takes longer than a request

    @property
    def name(self) -> str:
        """The name that it is asked for; what it reports with a reply counts more."""
        return self._options.model or self._only_model or "unnamed"

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything that a request holds but the key."""
        options = self._options
        return {
            "generator": "openai",
            "generator_url": self._url,
            "generator_model": options.model or self._only_model,
            **options.logged,
        }

    def fits(self, prompt: Prompt) -> bool:
        """By characters, since the server's tokenizer is out of sight."""
        return prompt.num_chars <= self._options.prompt_chars

    def check(self) -> None:
        """Ask for the list of models, briefly; a server that keeps none is well too.

        Raises:
            GeneratorUnavailable: nothing answers, or the key is refused.
        """
        self._run(partial(self._list_models, optional=True), timeout_s=CHECK_TIMEOUT_S, retries=0)

    def reply(self, prompt: Prompt, *, cancellation: Cancellation = NEVER) -> Reply:
        """Send the prompt and read the reply as it is written.

        Raises:
            Cancelled: it is not wanted any more; the connection is closed at once, so that the server can stop too.
            GeneratorUnavailable: the server is down or too slow, refuses, or sends what is no completion.
        """
        options = self._options
        completion = self._run(
            partial(self._complete, prompt=prompt),
            timeout_s=options.timeout_s,
            retries=options.retries,
            cancellation=cancellation,
        )
        details = {"finish_reason": completion.finish_reason, "system_fingerprint": completion.fingerprint}
        return Reply(
            text=completion.text,
            model=completion.model,
            details={name: value for name, value in details.items() if value},
        )

    async def _complete(self, client: httpx2.AsyncClient, *, prompt: Prompt) -> Completion:
        options = self._options
        body = {
            "model": options.model or await self._choose_model(client),
            "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
            "max_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
            "stream": True,
        }
        async with self._send(client, client.build_request("POST", "/chat/completions", json=body)) as response:
            completion = await read_completion(response)
        if completion.finish_reason == "length" and not completion.text.strip():
            raise BadReply("used up its tokens before it said anything; raise generator_max_new_tokens")
        return completion

    async def _choose_model(self, client: httpx2.AsyncClient) -> str:
        """The server's only model, asked for until there is one."""
        if not self._only_model:
            models = await self._list_models(client)
            if len(models) != 1:
                raise BadReply(f"has {len(models)} models ({', '.join(models[:8])}); name one in generator_model")
            self._only_model = models[0]
        return self._only_model

    async def _list_models(self, client: httpx2.AsyncClient, *, optional: bool = False) -> list[str]:
        accepted = {404, 405} if optional else set()
        async with self._send(client, client.build_request("GET", "/models"), accepted=accepted) as response:
            if response.status_code in accepted:
                return []
            listed = parse_object(await read_bounded(response)).get("data")
        if not isinstance(listed, list):
            raise BadReply("sends no list of models; check the URL in the setting generator, which usually ends in /v1")
        names = [model.get("id") for model in listed if isinstance(model, dict)]
        return [name for name in names if isinstance(name, str) and name]

    @asynccontextmanager
    async def _send(
        self, client: httpx2.AsyncClient, request: httpx2.Request, *, accepted: frozenset[int] | set[int] = frozenset()
    ) -> AsyncIterator[httpx2.Response]:
        """A response with status 200, or one of the ``accepted``; its body is still to be read."""
        try:
            response = await client.send(request, stream=True)
        except (httpx2.NetworkError, httpx2.ConnectTimeout, httpx2.RemoteProtocolError) as error:
            raise PassingFailure(f"cannot be reached ({error or type(error).__name__}); check that it runs") from error
        try:
            if response.status_code != 200 and response.status_code not in accepted:
                raise await failure_of(response, secret=self._options.api_key)
            yield response
        finally:
            await response.aclose()

    def _run(
        self,
        work: Callable[[httpx2.AsyncClient], Awaitable[T]],
        *,
        timeout_s: float,
        retries: int,
        cancellation: Cancellation = NEVER,
    ) -> T:
        """Do something with the server, again where it may help, and for ``timeout_s`` in all.

        On an event loop of its own, because only a cancelled task ends at its deadline in every case: time limits of
        sockets begin anew with each byte.
        """

        async def bounded() -> T:
            with anyio.fail_after(timeout_s):
                async with self._client() as client:
                    return await _patiently(partial(work, client), retries=retries)

        try:
            with start_blocking_portal() as portal:
                reply = portal.start_task_soon(bounded)
                with cancellation.interrupting(reply.cancel):
                    return reply.result()
        except CancelledError as error:
            raise Cancelled("Whoever asked has gone away.") from error
        except (BadReply, PassingFailure) as error:
            problem = str(error)
        except TimeoutError:
            named = " (setting: generator_timeout_s)" if timeout_s == self._options.timeout_s else ""
            problem = f"did not finish within {timeout_s:g} seconds{named}"
        except httpx2.ReadTimeout:
            silence = self._options.read_timeout_s
            problem = f"was silent for {silence:g} seconds (setting: generator_read_timeout_s)"
        except httpx2.TransportError as error:
            problem = f"breaks off its reply ({error or type(error).__name__})"
        raise GeneratorUnavailable(f"The model server at {self._url} {problem}.")

    def _client(self) -> httpx2.AsyncClient:
        options = self._options
        headers = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}
        if options.api_key:
            headers["Authorization"] = f"Bearer {options.api_key}"
        return httpx2.AsyncClient(
            base_url=self._url,
            headers=headers,
            timeout=httpx2.Timeout(options.read_timeout_s, connect=CONNECT_TIMEOUT_S),
            verify=self._ssl,
            trust_env=False,
            follow_redirects=False,
        )


async def _patiently(work: Callable[[], Awaitable[T]], *, retries: int) -> T:
    """Try, and try again after a failure that may pass; raises the last one."""
    for attempt in range(retries + 1):
        try:
            return await work()
        except PassingFailure as failure:
            wait_s = FIRST_WAIT_S * 2**attempt if failure.wait_s is None else failure.wait_s
            left_s = anyio.current_effective_deadline() - anyio.current_time()
            if attempt == retries or wait_s > min(MAX_WAIT_S, left_s):
                raise
            await anyio.sleep(wait_s)
    raise AssertionError("the last attempt returns or raises")
