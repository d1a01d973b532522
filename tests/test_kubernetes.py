"""The manifests in deploy/kubernetes: what the overlays come to is valid, keeps little rights, and holds no secret."""

import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag.config import Settings

FOLDER = Path(__file__).parents[1] / "deploy/kubernetes"
OVERLAYS = ("large", "small")
SCRIPTS = Path(sysconfig.get_path("scripts"))
VERSIONS = ("1.31.0", "1.37.0")
"""The oldest version of Kubernetes that is looked at, and the newest."""
USER = 10001


def build(overlay: str) -> str:
    """What ``kubectl apply --kustomize`` would send, made by kubectl itself, which needs no cluster for it."""
    command = [SCRIPTS / "kubectl", "kustomize", FOLDER / "overlays" / overlay]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The manifests of an overlay."""
    return list(yaml.safe_load_all(build(request.param)))


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pods(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, metadata and specification of every pod that would be made."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield manifest["metadata"]["name"], spec["template"]["metadata"], spec["template"]["spec"]


def validate(path: Path, version: str) -> subprocess.CompletedProcess[str]:
    command = [SCRIPTS / "kubernetes-validate", "--strict", "--kubernetes-version", version, path]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_valid_to_the_last_field(overlay: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "manifests.yaml").write_text(build(overlay))
    done = validate(tmp_path / "manifests.yaml", version)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"deployment/rag-api against version {version.rpartition('.')[0]}" in done.stdout + done.stderr


def test_field_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "manifests.yaml").write_text(build("small").replace("readOnlyRootFilesystem", "readOnlyFilesystem"))
    assert validate(tmp_path / "manifests.yaml", VERSIONS[-1]).returncode != 0


def test_everything_that_runs_is_there(manifests: list[dict[str, Any]]) -> None:
    assert sorted((manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests) == [
        ("ConfigMap", of_kind(manifests, "ConfigMap")[0]["metadata"]["name"]),
        ("CronJob", "rag-ingest"),
        ("CronJob", "rag-log-purge"),
        ("Deployment", "rag-api"),
        ("HorizontalPodAutoscaler", "rag-api"),
        ("Job", "rag-migrate"),
        ("NetworkPolicy", "rag-api-callers"),
        ("NetworkPolicy", "rag-database-only"),
        ("PodDisruptionBudget", "rag-api"),
        ("Service", "rag-api"),
        ("ServiceAccount", "rag"),
    ]
    assert {manifest["metadata"]["namespace"] for manifest in manifests} == {"grounded-rag"}


def test_no_pod_may_do_more_than_it_must(manifests: list[dict[str, Any]]) -> None:
    names = [name for name, _, _ in pods(manifests)]
    assert sorted(names) == ["rag-api", "rag-ingest", "rag-log-purge", "rag-migrate"]
    for _, _, pod in pods(manifests):
        assert pod["automountServiceAccountToken"] is False
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == USER
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


def test_user_is_that_of_the_image() -> None:
    assert f"--uid {USER} rag" in (FOLDER.parents[1] / "Dockerfile").read_text()


def test_pods_write_to_folders_of_their_own_only(manifests: list[dict[str, Any]]) -> None:
    for _, _, pod in pods(manifests):
        (container,) = pod["containers"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} == set(volumes)
        assert {"/data", "/tmp"} <= set(mounts)
        for mount in mounts.values():
            assert mount.get("readOnly") or volumes[mount["name"]]["emptyDir"]["sizeLimit"]


def test_secrets_are_named_and_never_there(manifests: list[dict[str, Any]]) -> None:
    assert not of_kind(manifests, "Secret")
    settings = of_kind(manifests, "ConfigMap")[0]
    assert not {"RAG_DATABASE_URL", "RAG_LOG_KEYS", "RAG_REDIS_URL", "RAG_GENERATOR_API_KEY"} & set(settings["data"])
    for name, _, pod in pods(manifests):
        given = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in pod["containers"][0]["env"]}
        redis = {"name": "rag-secrets", "key": "redis-url", "optional": True}
        assert given.pop("RAG_REDIS_URL", None) == (redis if name == "rag-api" else None)
        assert given == {
            "RAG_DATABASE_URL": {"name": "rag-secrets", "key": "database-url"},
            "RAG_LOG_KEYS": {"name": "rag-secrets", "key": "log-keys", "optional": True},
        }


def test_settings_are_settings_of_the_program(
    manifests: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (config,) = of_kind(manifests, "ConfigMap")
    monkeypatch.chdir(tmp_path)
    for name, value in config["data"].items():
        assert name.removeprefix("RAG_").lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.background_upload_bytes >= settings.max_file_bytes
    assert settings.log_retention_days
    for _, _, pod in pods(manifests):
        (source,) = pod["containers"][0]["envFrom"]
        assert source["configMapRef"]["name"] == config["metadata"]["name"]
        # A service's variables could be taken for settings: RAG_PORT=tcp://10.0.0.1:80.
        assert pod["enableServiceLinks"] is False


def test_images_have_a_tag_to_be_named_and_none_is_latest(manifests: list[dict[str, Any]]) -> None:
    images = {pod["containers"][0]["image"] for _, _, pod in pods(manifests)}
    assert images == {"registry.example/grounded-rag:VERSION"}
    assert not any(":latest" in path.read_text() for path in FOLDER.rglob("*.yaml"))


def test_probes_ask_the_routes_that_are_there(manifests: list[dict[str, Any]]) -> None:
    (deployment,) = of_kind(manifests, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: probe["httpGet"]["path"] for kind, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    for probe in probes.values():
        assert probe["httpGet"]["port"] == container["ports"][0]["name"]
        assert probe["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    assert probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"] >= 600
    assert probes["readiness"]["timeoutSeconds"] > Settings.model_fields["store_timeout_s"].default


def test_autoscaler_service_and_budget_select_the_api(manifests: list[dict[str, Any]]) -> None:
    labels = {name: metadata["labels"] for name, metadata, _ in pods(manifests)}
    (deployment,) = of_kind(manifests, "Deployment")
    (autoscaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    (service,) = of_kind(manifests, "Service")
    (budget,) = of_kind(manifests, "PodDisruptionBudget")
    assert "replicas" not in deployment["spec"]  # or each time that it is applied, the autoscaler's choice is undone
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert autoscaler["spec"]["minReplicas"] < autoscaler["spec"]["maxReplicas"]
    selectors = [service["spec"]["selector"], budget["spec"]["selector"]["matchLabels"]]
    for selector in [*selectors, deployment["spec"]["selector"]["matchLabels"]]:
        matching = [name for name, given in labels.items() if selector.items() <= given.items()]
        assert matching == ["rag-api"]


def test_network_is_closed_but_for_callers_names_and_the_database(manifests: list[dict[str, Any]]) -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")}
    everywhere = policies["rag-database-only"]
    for _, metadata, _ in pods(manifests):
        assert everywhere["podSelector"]["matchLabels"].items() <= metadata["labels"].items()
    assert sorted(everywhere["policyTypes"]) == ["Egress", "Ingress"]
    assert "ingress" not in everywhere
    names, database = everywhere["egress"]
    assert names["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]
    assert [port["port"] for port in names["ports"] + database["ports"]] == [53, 53, 5432, 6379]
    (callers,) = policies["rag-api-callers"]["ingress"]
    assert callers["from"] == [{"namespaceSelector": {"matchLabels": {"grounded-rag/may-call": "true"}}}]
    assert [port["port"] for port in callers["ports"]] == ["http"]


def test_jobs_run_one_at_a_time_and_call_commands_that_exist(manifests: list[dict[str, Any]]) -> None:
    assert all(job["spec"]["concurrencyPolicy"] == "Forbid" for job in of_kind(manifests, "CronJob"))
    commands = {name: " ".join(pod["containers"][0]["command"]) for name, _, pod in pods(manifests)}
    assert commands == {
        "rag-api": "rag serve --host 0.0.0.0",
        "rag-ingest": "sh -c rag ingest /documents || test $? -eq 3",
        "rag-log-purge": "rag logs purge --yes",
        "rag-migrate": "rag db upgrade",
    }


def test_nothing_is_taken_out_of_the_log_until_somebody_says_so(manifests: list[dict[str, Any]]) -> None:
    suspended = {job["metadata"]["name"]: job["spec"].get("suspend", False) for job in of_kind(manifests, "CronJob")}
    assert suspended == {"rag-ingest": False, "rag-log-purge": True}


def test_large_overlay_gives_more_than_the_small_one() -> None:
    small, large = (list(yaml.safe_load_all(build(overlay))) for overlay in ("small", "large"))
    limits = [of_kind(manifests, "HorizontalPodAutoscaler")[0]["spec"]["maxReplicas"] for manifests in (small, large)]
    assert limits[0] < limits[1]
    memory = [{name: pod for name, _, pod in pods(manifests)}["rag-api"] for manifests in (small, large)]
    assert [pod["containers"][0]["resources"]["limits"]["memory"] for pod in memory] == ["3Gi", "16Gi"]
