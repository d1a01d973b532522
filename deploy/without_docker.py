"""Go through the steps of the Dockerfile without Docker: build, start, health check, a request, stop.

    python3.11 deploy/without_docker.py FOLDER

What the container has at /src, /venv, /data and /home/rag lies below FOLDER, which takes some gigabytes. No user is
made and nothing changes hands: all of it runs as who calls. The server listens on loopback, at the container's port,
which must be free. For an index to install from, set PIP_INDEX_URL or its like, as for ``docker build``.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"
OF_CONTAINER = re.compile(r"(?<![\w./])/(?=(src|venv|data|home/rag)\b)")
STAND_INS = {"useradd": 'mkdir -p "$HOME"', "chown": "true"}
"""What only root may do, and what is done in its place."""
START_S = 120
STOP_S = 60


class Failed(Exception):
    """A step did not work."""


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of the Dockerfile, in upper case, and the rest of its line."""

    instruction: str
    rest: str


@dataclass(slots=True)
class Container:
    """What the steps so far have made."""

    folder: Path
    directory: Path
    environment: dict[str, str]
    command: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    port: int = 0

    def placed(self, text: str) -> str:
        """The text with the container's folders below this one's."""
        return OF_CONTAINER.sub(f"{self.folder}/", text)

    def run(self, command: list[str]) -> None:
        """Run a command to its end.

        Raises:
            Failed: it ends with an error.
        """
        done = subprocess.run(command, cwd=self.directory, env=self.environment, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(command)} ended with {done.returncode}.")


def read_steps(text: str) -> list[Step]:
    """The instructions of a Dockerfile, without comments; a line that ends with a backslash goes on."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.split("\n"))]


def do(step: Step, container: Container) -> None:
    """Do what a step says.

    Raises:
        Failed: it does not work, or its instruction is unknown here.
    """
    rest = container.placed(step.rest)
    if step.instruction == "FROM":
        wanted = re.search(r"python:(\d+\.\d+)", step.rest)
        if wanted is None or wanted[1] != f"{sys.version_info.major}.{sys.version_info.minor}":
            raise Failed(f"The Dockerfile begins with {step.rest!r}; call this script with that Python.")
    elif step.instruction == "WORKDIR":
        container.directory = Path(rest)
        container.directory.mkdir(parents=True, exist_ok=True)
    elif step.instruction == "RUN":
        container.run(["sh", "-ec", rest])
    elif step.instruction == "COPY":
        _copy(rest.split(), container)
    elif step.instruction == "ENV":
        for name, value in (one.split("=", 1) for one in rest.split()):
            container.environment[name] = value.replace("$PATH", container.environment["PATH"])
    elif step.instruction == "HEALTHCHECK":
        container.health_check = json.loads(rest[rest.index("CMD") + len("CMD") :])
    elif step.instruction == "CMD":
        container.command = json.loads(rest)
    elif step.instruction == "EXPOSE":
        container.port = int(rest)
    elif step.instruction not in ("ARG", "USER", "VOLUME"):
        raise Failed(f"The instruction {step.instruction} is unknown to this script.")


def _copy(words: list[str], container: Container) -> None:
    if words[0].startswith("--from="):
        return  # both stages lie in the same folder
    *sources, target = words
    for source in sources:
        place = container.directory / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, dirs_exist_ok=True)
        else:
            shutil.copy2(ROOT / source, place)


def new_container(folder: Path) -> Container:
    """An empty one in a folder, which is made."""
    stand_ins = folder / "stand-ins"
    stand_ins.mkdir(parents=True)
    for name, script in STAND_INS.items():
        (stand_ins / name).write_text(f"#!/bin/sh\n{script}\n")
        (stand_ins / name).chmod(0o755)
    (stand_ins / "python").symlink_to(sys.executable)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAG_", "PYTHON", "VIRTUAL_"))}
    path = f"{stand_ins}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return Container(folder, folder, kept | {"PATH": path, "HOME": str(folder / "home/rag")})


def use(container: Container) -> Iterator[str]:
    """Start it, wait until it is healthy, send requests and stop it; yields what has worked.

    Raises:
        Failed: something did not.
    """
    container.run(["rag", "db", "upgrade"])
    create = ["rag", "keys", "create", "--user", "somebody", "--role", "administrator", "--json"]
    made = subprocess.run(create, env=container.environment, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Failed(f"No key could be made: {made.stderr}")
    key = json.loads(made.stdout)["key"]
    command = [part.replace("0.0.0.0", "127.0.0.1") for part in container.command]  # noqa: S104
    server = subprocess.Popen(command, cwd=container.directory, env=container.environment)
    try:
        _wait_until_healthy(container, server)
        yield "healthy"
        url = f"http://127.0.0.1:{container.port}/v1/collections"
        # On loopback none is asked for, and what cannot be a key is not taken for one.
        if (status := _status(url, key=key[:-1] + ("b" if key[-1] == "a" else "a"))) != 401:
            raise Failed(f"A request with a wrong key got {status}.")
        if (status := _status(url, key=key)) != 200:
            raise Failed(f"A request with a key got {status}.")
        yield "a request with a wrong key is refused, with the right one answered"
        server.terminate()
        # It shuts down, then ends by the signal that it was sent.
        if (code := server.wait(STOP_S)) != -signal.SIGTERM:
            raise Failed(f"The server ended with {code}.")
        yield "stopped"
    finally:
        server.kill()
        server.wait()


def _wait_until_healthy(container: Container, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        if not subprocess.run(
            container.health_check, env=container.environment, stderr=subprocess.DEVNULL, check=False
        ).returncode:
            return
        time.sleep(1)
    raise Failed("The server ended." if server.poll() is not None else f"Not healthy after {START_S} seconds.")


def _status(url: str, *, key: str) -> int:
    request = Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with urlopen(request, timeout=10) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def main() -> None:
    """Go through all steps."""
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():  # noqa: PLR2004
        sys.exit("Name one folder that does not exist yet.")
    container = new_container(Path(sys.argv[1]).absolute())
    try:
        for step in read_steps(DOCKERFILE.read_text(encoding="utf-8")):
            print(f"{step.instruction} {step.rest}", flush=True)
            do(step, container)
        for worked in use(container):
            print(worked, flush=True)
    except Failed as failed:
        sys.exit(f"error: {failed}")


if __name__ == "__main__":
    main()
