"""A real coordinator with a worker, and an Airflow home of its own, while the tests run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(tempfile.mkdtemp(prefix="windrow-airflow-"))
# Airflow reads these when it is imported.
os.environ |= {
    "AIRFLOW_HOME": str(HOME / "airflow"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "data/dags"),
    "WINDROW_TEST_DATA": str(HOME / "data"),
    "NO_PROXY": "127.0.0.1",
}

REPOSITORY = Path(os.environ.get("WINDROW_HOME", Path(__file__).parents[3]))
CLI = ["node", str(REPOSITORY / "dist/cli/main.js")]
TOKEN = "a client is known by this"

SCORE = """\
apiVersion: windrow/v1
kind: Job
metadata: { name: "score-{{ day }}" }
params: { day: 2026-11-20 }
sources:
  orders: { parquet: ../orders.parquet }
steps:
  - id: scored
    infer: { from: orders, model: ../churn.onnx, inputs: { x: [amount] }, outputs: { y: churn } }
outputs:
  - { from: scored, parquet: "../out/{{ day }}" }
"""


class Cluster:
    """A coordinator whose gateway wants a token; it can be killed and started again."""

    def __init__(self, data: Path, name: str, *flags: str) -> None:
        self.data = data
        self.flags = flags
        self.state = HOME / name
        self.token_file = HOME / "token"
        self.token_file.write_text(TOKEN)
        self.port = "0"
        self.started: list[subprocess.Popen[str]] = []
        self.coordinator = self.start_coordinator()

    def start_coordinator(self) -> subprocess.Popen[str]:
        ready = re.compile(r"HTTP ready on 127\.0\.0\.1:(\d+)")
        process = self._start(
            *(
                "coordinator",
                "--listen",
                "127.0.0.1:0",
                "--http",
                f"127.0.0.1:{self.port}",
            ),
            *("--state", str(self.state), "--allow-root", str(self.data)),
            *("--client-token-file", str(self.token_file), *self.flags),
        )
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if found := ready.search(line):
                self.port = found[1]
                self.coordinator = process
                return process
        raise AssertionError(f"the coordinator ended: {said}")

    def start_worker(self) -> None:
        self._start("worker", "--coordinator", f"unix:{self.state}/windrow.sock", "--slots", "1")

    def kill_coordinator(self) -> None:
        self.coordinator.kill()
        self.coordinator.wait(30)

    def stop(self) -> None:
        for process in self.started:
            process.terminate()
        for process in self.started:
            process.wait(30)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        log = subprocess.PIPE if arguments[0] == "coordinator" else subprocess.DEVNULL
        process = subprocess.Popen([*CLI, *arguments], stderr=log, text=True)
        self.started.append(process)
        return process

    @property
    def connection(self) -> dict[str, object]:
        extra = {"patience": 30}
        host = {"host": "127.0.0.1", "port": int(self.port), "schema": "http"}
        return {"conn_type": "windrow", **host, "password": TOKEN, "extra": extra}


@pytest.fixture(scope="session")
def data(airflow_database: None) -> Path:
    """A directory with `orders.parquet`, a thousand rows, `churn.onnx`, a model of one input, and
    `dags`: those of the tests and that of the README, with the spec that it names."""
    folder = HOME / "data"
    folder.mkdir()
    script = """
      import { writeFileSync } from 'node:fs';
      import { pathToFileURL } from 'node:url';
      import { DuckDBInstance } from '@duckdb/node-api';
      const [folder, repository] = process.argv.slice(1);
      const { mlpModel } = await import(pathToFileURL(`${repository}/dist/shared/onnx-model.js`));
      const connection = await (await DuckDBInstance.create()).connect();
      const rows = 'select i as id, i * 1.5 as amount from range(1000) t(i)';
      await connection.run(`copy (${rows}) to '${folder}/orders.parquet' (format parquet)`);
      const weights = Float32Array.of(0.5);
      const layer = { weights, bias: Float32Array.of(1), activation: 'sigmoid' };
      writeFileSync(`${folder}/churn.onnx`, mlpModel([layer], { input: 'x', output: 'y' }));
    """
    command = [
        "node",
        "--input-type=module",
        "-e",
        script,
        str(folder),
        str(REPOSITORY),
    ]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    dags = folder / "dags"
    shutil.copytree(Path(__file__).parent / "dags", dags)
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (dags / "readme.py").write_text(readme.split("```python\n")[1].split("```")[0])
    (dags / "score.yaml").write_text(SCORE)
    return folder


@pytest.fixture(scope="session")
def cluster(data: Path) -> Iterator[Cluster]:
    made = Cluster(data, "state")
    try:
        made.start_worker()
        os.environ["AIRFLOW_CONN_WINDROW_DEFAULT"] = json.dumps(made.connection)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session", autouse=True)
def airflow_database() -> Iterator[None]:
    """An empty one, below AIRFLOW_HOME; all of HOME goes when the tests end."""
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield
    shutil.rmtree(HOME)
