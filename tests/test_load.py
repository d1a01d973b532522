"""The benchmark under load in its short form: nothing that was acknowledged is lost, also when the server is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("how", [["--seconds", "4"], ["--seconds", "6", "--kill"]], ids=["undisturbed", "killed"])
def test_short_load_loses_nothing_and_gives_no_500(how: list[str]) -> None:
    command = [sys.executable, "benchmarks/load.py", "--callers", "12", *how]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(done.stdout)
    assert measured["faults"] == []
    assert {"question done", "search done", "upload done"} <= set(measured["requests"])
    assert len(measured["memory_mb"]) == 9
