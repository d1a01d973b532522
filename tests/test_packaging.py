"""What is shipped: the wheel, the licences of what it needs, the container files."""

import json
import os
import re
import runpy
import subprocess
import sys
import sysconfig
import zipfile
from contextlib import suppress
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
COPYLEFT = ("AGPL", "GNU Affero", "GPLv", "GNU General Public", "GPL-")
# The driver of the optional PostgreSQL extra, used as a library and not changed.
LESSER = {"psycopg", "psycopg-binary"}
# Several commands in one process: loading torch and the models is what takes seconds.
RUN_COMMANDS = """
import json, sys
import rag
from rag.cli.main import main
print(rag.__file__, flush=True)
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["rag", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


def _closure(name: str, extras: frozenset[str], seen: dict[str, Distribution]) -> None:
    if name.lower() in seen:
        return
    found = distribution(name)
    seen[name.lower()] = found
    for line in found.requires or []:
        requirement = Requirement(line)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}
        )
        if wanted:
            try:
                _closure(requirement.name, frozenset(requirement.extras), seen)
            except PackageNotFoundError:
                pytest.fail(f"{name} needs {requirement.name}, which is not installed")


def test_nothing_needed_at_run_time_is_under_gpl_or_agpl() -> None:
    needed: dict[str, Distribution] = {}
    _closure("grounded-rag", frozenset({"postgres"}), needed)
    assert {"torch", "faiss-cpu", "sqlalchemy", "fastapi", "sentence-transformers", "alembic"} <= set(needed)
    for name, found in needed.items():
        about = found.metadata
        expression = about.get("License-Expression") or ""
        stated = " ".join([expression, *(c for c in about.get_all("Classifier") or [] if c.startswith("License"))])
        if name not in LESSER:
            stated = stated.replace("LGPL", "")
            assert not any(word in stated for word in COPYLEFT), f"{name} is under {stated}"


def test_everything_installed_is_pinned() -> None:
    pins = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    needed: dict[str, Distribution] = {}
    _closure("grounded-rag", frozenset({"postgres"}), needed)
    normalized = {pin.replace("_", "-").replace(".", "-") for pin in pins}
    missing = {name for name in needed if name.replace("_", "-").replace(".", "-") not in normalized}
    assert missing <= {"grounded-rag", "setuptools"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_wheel_carries_migrations_pages_and_weights(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "rag/_migrations/env.py",
        "rag/py.typed",
        "rag/web/static/ask.html",
        "rag/web/static/ask.js",
        "rag/web/static/document.html",
        "rag/web/static/page.css",
        "rag/web/static/review.html",
        "rag/web/static/chart.js",
        "rag/web/static/thumb.svg",
        "rag/reader/weights/config.json",
        "rag/reader/weights/reader.safetensors",
        "rag/reader/weights/README.md",
    } <= names
    assert any(name.startswith("rag/_migrations/versions/0001") for name in names)
    assert not any(name.startswith(("tests/", "examples/")) for name in names)


@pytest.mark.slow
def test_installed_wheel_answers_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=120)
    site = next((venv / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    # What the package needs comes from the environment of the tests; the package itself does not: a plain path is
    # appended, and the .pth files that lie there, the checkout's among them, are not read.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    python = venv / "bin/python"
    environment = {**os.environ, "RAG_DATA_DIR": str(tmp_path / "data"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)

    (tmp_path / "support.txt").write_text("The support rota is kept by Amara Diallo.")
    commands = [["db", "upgrade"], ["ingest", "support.txt"], ["ask", "Who keeps the support rota?", "--json"]]
    done = subprocess.run(
        [python, "-c", RUN_COMMANDS, json.dumps(commands)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    place, _, printed = done.stdout.partition("\n")
    assert place.startswith(str(venv))
    assert json.loads(printed[printed.index("{") :])["answer"] == "Amara Diallo"


def test_weights_fit_into_the_repository() -> None:
    total = sum(path.stat().st_size for path in (ROOT / "rag/reader/weights").iterdir())
    assert total <= 64_000_000


SERVICES = {
    None: {"api", "postgres", "redis"},
    "milvus": {"milvus", "etcd", "minio"},
    "vllm": {"vllm"},
}
"""What the compose file starts by itself, and with each profile."""
PASSED_ON = {"RAG_SEARCH", "RAG_MILVUS_URI", "RAG_MILVUS_TOKEN", "RAG_GENERATOR", "RAG_GENERATOR_API_KEY"}
"""Settings of the API that use what the profiles start."""
SHELL_VARIABLE = re.compile(r"\$\$\{(\w+):\?")


def _compose() -> tuple[str, dict[str, Any]]:
    text = (ROOT / "docker-compose.yml").read_text()
    return text, yaml.safe_load(text)["services"]


def _command(service: dict[str, Any]) -> list[str]:
    return [*service.get("entrypoint", []), *service.get("command", [])]


def test_compose_has_health_checks_volumes_and_no_default_password() -> None:
    text, services = _compose()
    for profile, names in SERVICES.items():
        profiles = None if profile is None else [profile]
        assert {name for name, service in services.items() if service.get("profiles") == profiles} == names
    assert text.count("${POSTGRES_PASSWORD:?") == 2
    assert all("healthcheck" in services[name] for name in services if name != "api")
    assert services["api"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["milvus"]["depends_on"] == {
        name: {"condition": "service_healthy"} for name in SERVICES["milvus"] - {"milvus"}
    }
    assert [name for name, service in services.items() if "ports" in service] == ["api"]
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    assert sorted(mounted) == sorted(yaml.safe_load(text)["volumes"])


def test_containers_of_profiles_ask_for_their_own_variables() -> None:
    _, services = _compose()
    assert {name for name, value in services["api"]["environment"].items() if value is None} == PASSED_ON
    asked = {}
    for name in set.union(*(names for profile, names in SERVICES.items() if profile)):
        asked[name] = set(SHELL_VARIABLE.findall(" ".join(_command(services[name]))))
        environment = services[name]["environment"]
        assert asked[name] <= {variable for variable, value in environment.items() if value is None}
        assert not [v for v in environment if "PASSWORD" in v and environment[v] is not None]
    assert asked == {
        "milvus": {"MILVUS_PASSWORD"},
        "minio": {"MILVUS_PASSWORD"},
        "etcd": set(),
        "vllm": {"VLLM_MODEL", "RAG_GENERATOR_API_KEY"},
    }


@pytest.mark.parametrize("name", ["milvus", "minio", "vllm"])
def test_container_without_its_variable_says_which_and_does_not_start(name: str, tmp_path: Path) -> None:
    """Its own shell command, with programs of the test's in place of its own."""
    _, services = _compose()
    words = [word.replace("$$", "$") for word in _command(services[name])]
    for program in ("milvus", "minio", "vllm"):
        (tmp_path / program).write_text('#!/bin/sh\necho "started $*"\nenv\n')
        (tmp_path / program).chmod(0o755)
    bare = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    refused = subprocess.run(words, env=bare, capture_output=True, text=True, timeout=10, check=False)
    missing = "RAG_GENERATOR_API_KEY" if name == "vllm" else "MILVUS_PASSWORD"
    assert refused.returncode != 0
    assert f"set {missing}" in refused.stderr
    assert "started" not in refused.stdout
    given = bare | {"MILVUS_PASSWORD": "a secret", "RAG_GENERATOR_API_KEY": "a key", "VLLM_MODEL": "some/model"}
    started = subprocess.run(words, env=given, capture_output=True, text=True, timeout=10, check=True).stdout
    assert started.startswith("started ")
    wanted = {
        "milvus": ["MINIO_SECRET_ACCESS_KEY=a secret", "COMMON_SECURITY_DEFAULTROOTPASSWORD=a secret"],
        "minio": ["MINIO_ROOT_PASSWORD=a secret"],
        "vllm": ["started serve some/model", "VLLM_API_KEY=a key"],
    }
    assert all(words in started for words in wanted[name])


def test_compose_file_is_valid_and_the_check_finds_what_is_not() -> None:
    text, services = _compose()
    assert PyCompose.from_yaml(text).service_names() == list(services)
    for right, wrong in (
        ("healthcheck:", "healthchecks:"),
        ("interval: 5s", "interval: soon"),
        ("restart: un", "restart: "),
        ("capabilities: [gpu]", "capabilities: gpu"),
    ):
        with pytest.raises(ValueError, match="postgres|api|vllm"):
            PyCompose.from_yaml(text.replace(right, wrong))


def test_compose_asks_for_each_variable_and_pins_each_image() -> None:
    text, services = _compose()
    settings = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert re.findall(r"\$\{?\w+", settings) == re.findall(r"\$\{\w+(?=:\?)", settings)
    for service in services.values():
        if "build" in service:
            assert "HEALTHCHECK" in (ROOT / service["build"] / "Dockerfile").read_text()
        else:
            assert service["healthcheck"]["test"]
            assert service["image"].rpartition(":")[2] not in ("", "latest")


@cache
def _compose_client() -> tuple[str, ...]:
    """The plugin of docker's client, or Debian's program of its own; either reads the file without an engine."""
    for client in (("docker", "compose"), ("docker-compose",)):
        with suppress(FileNotFoundError):
            if subprocess.run([*client, "version"], capture_output=True, timeout=60, check=False).returncode == 0:
                return client
    pytest.fail("Install docker-compose (`make programs` does), or the plugin `docker compose`.")


def _docker_compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_compose_client(), "--file", str(ROOT / "docker-compose.yml"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "POSTGRES_PASSWORD"} | environment,
    )


def test_docker_compose_takes_the_file_and_wants_a_password() -> None:
    with_password = _docker_compose("config", "--quiet", POSTGRES_PASSWORD="a")
    assert with_password.returncode == 0, with_password.stderr
    # All profiles at once: Debian's Compose lists the services of those that were not asked for as well.
    chosen = [part for profile in SERVICES if profile for part in ("--profile", profile)]
    listed = _docker_compose(*chosen, "config", "--services", POSTGRES_PASSWORD="a")
    assert set(listed.stdout.split()) == set[str]().union(*SERVICES.values())
    without = _docker_compose("config", "--quiet")
    assert without.returncode != 0
    assert "set POSTGRES_PASSWORD" in without.stderr


def test_container_does_not_run_as_root_and_says_when_it_is_ready() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["rag"]
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    for word in ("rag", "migrations", "pyproject.toml", "constraints.txt"):
        assert any(line.startswith("COPY") and word in line for line in lines)


def test_steps_of_the_container_can_be_done_without_docker(tmp_path: Path) -> None:
    done = runpy.run_path(str(ROOT / "deploy/without_docker.py"))
    step, do, container = done["Step"], done["do"], done["new_container"](tmp_path / "container")
    for instruction, rest in (
        ("WORKDIR", "/src"),
        ("COPY", "pyproject.toml LICENSE ./"),
        ("COPY", "migrations migrations"),
        ("RUN", "useradd --create-home --uid 10001 rag && mkdir /data && chown rag /data"),
        ("ENV", "PATH=/venv/bin:$PATH RAG_DATA_DIR=/data"),
        ("WORKDIR", "/home/rag"),
        ("EXPOSE", "8000"),
    ):
        do(step(instruction, rest), container)
    assert (container.folder / "src/pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()
    assert (container.folder / "src/migrations/env.py").is_file()
    assert container.environment["PATH"].startswith(f"{container.folder}/venv/bin:")
    assert Path(container.environment["RAG_DATA_DIR"]).is_dir()
    assert container.directory.is_dir()
    with pytest.raises(done["Failed"], match="ended with 3"):
        do(step("RUN", "exit 3"), container)
    with pytest.raises(done["Failed"], match="SHELL is unknown"):
        do(step("SHELL", "[]"), container)
    steps = done["read_steps"]((ROOT / "Dockerfile").read_text())
    assert [one.rest.split()[0] for one in steps if one.instruction == "FROM"] == ["python:3.11-slim"] * 2
    assert json.loads(next(one.rest for one in steps if one.instruction == "CMD"))[0] == "sh"
    assert next(one.rest for one in steps if one.instruction == "HEALTHCHECK").count("CMD [") == 1


def test_continuous_integration_runs_the_readme_s_test_command() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert "make test" in script
    assert "make test" in (ROOT / "README.md").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)
