"""Tasks inside a real Airflow against a real coordinator."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from airflow.models import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from conftest import CLI, HOME, Cluster
from sqlalchemy import select

from windrow_airflow.errors import WindrowError, WindrowRefused
from windrow_airflow.hook import WindrowHook
from windrow_airflow.operator import LINK_KEY, request_id
from windrow_airflow.trigger import WindrowJobTrigger

POLLS = 1600


@pytest.fixture(scope="session")
def bag(cluster: Cluster, airflow_database: None) -> DagBag:
    found = DagBag()
    assert found.import_errors == {}
    return found


@pytest.fixture
def hook(cluster: Cluster) -> WindrowHook:
    extra = json.dumps(cluster.connection["extra"])
    given = {**cluster.connection, "extra": extra}
    return WindrowHook(connection=Connection(conn_id="windrow_default", **given))


def run(bag: DagBag, dag_id: str) -> dict[str, object]:
    """States and results of a DAG run's tasks, by task and map index."""
    made: DagRun = bag.dags[dag_id].test()
    return {
        ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]": {
            "state": ti.state,
            "tries": ti.try_number,
            "result": ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index),
            "link": ti.xcom_pull(task_ids=ti.task_id, key=LINK_KEY, map_indexes=ti.map_index),
        }
        for ti in made.get_task_instances()
    }


def jobs(hook: WindrowHook, name: str) -> list[dict[str, object]]:
    """Those of that name, newest first."""
    return [job for job in hook._ask("GET", "/v1/jobs")["jobs"] if job["name"] == name]


def test_a_task_runs_a_job_and_hands_on_its_manifests(bag: DagBag, hook: WindrowHook) -> None:
    task = run(bag, "succeeds")["job"]
    assert task["state"] == "success"
    result = task["result"]
    [job] = jobs(hook, "succeeds")
    assert result["job"] == job["job"]
    assert result["manifests"] == {"large": job["outputs"][0]["manifestHash"]}
    # 1.5 × 999 rows are above 1010 from row 674 on: the templated param arrived as a number.
    assert result["rows"] == {
        "in": 1000,
        "out": 326,
        "filtered": 674,
        "deadLettered": 0,
    }
    assert task["link"] == f"{hook.base_url}/v1/jobs/{job['job']}/description"


def test_a_deferred_task_has_the_same_result(bag: DagBag, hook: WindrowHook) -> None:
    task = run(bag, "defers")["job"]
    [job] = jobs(hook, "defers")
    assert task["state"] == "success"
    assert task["result"]["manifests"] == {"large": job["outputs"][0]["manifestHash"]}


@pytest.mark.parametrize("dag_id", ["fails", "fails_deferred"])
def test_a_failed_job_fails_its_task_with_code_and_message(
    bag: DagBag, hook: WindrowHook, dag_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = run(bag, dag_id)["job"]
    # Another try would meet the same row: the one that `retries` allows is not made.
    assert (task["state"], task["tries"]) == ("failed", 1)
    [job] = jobs(hook, dag_id)
    event = {"summary": {**job, "manifests": {}}}
    with pytest.raises(WindrowRefused, match=job["failure"]["code"]) as caught:
        bag.dags[dag_id].get_task("job").execute_complete({}, event)
    assert job["failure"]["message"] in str(caught.value)


def test_a_refused_spec_starts_nothing(bag: DagBag, hook: WindrowHook) -> None:
    task = run(bag, "refused")["job"]
    assert (task["state"], task["tries"]) == ("failed", 1)
    assert jobs(hook, "refused") == []


def test_a_retry_attaches_to_the_job_of_the_try_before(bag: DagBag, hook: WindrowHook) -> None:
    task = run(bag, "dies")["job"]
    assert (task["state"], task["tries"]) == ("success", 2)
    [job] = jobs(hook, "dies")
    assert task["result"]["job"] == job["job"]


def test_a_retry_after_a_lost_job_makes_a_new_one(bag: DagBag, hook: WindrowHook) -> None:
    """Somebody cancels the job of each try."""
    ending = threading.Thread(target=lambda: [cancel(hook, "waits", count) for count in (1, 2)])
    ending.start()
    task = run(bag, "waits")["job"]
    ending.join()
    assert (task["state"], task["tries"]) == ("failed", 2)
    assert [job["state"] for job in jobs(hook, "waits")] == ["cancelled", "cancelled"]


def test_a_task_that_somebody_clears_asks_for_another_job(bag: DagBag) -> None:
    made: DagRun = bag.dags["clears"].test()
    with create_session() as session:
        [ti] = made.get_task_instances(session=session)
        before = request_id({"ti": ti})
        clear_task_instances([ti], session)
        session.flush()
        assert ti.state is None
        assert request_id({"ti": ti}) != before


def test_a_killed_task_cancels_its_job(bag: DagBag, hook: WindrowHook) -> None:
    operator = bag.dags["killed"].get_task("job").prepare_for_execution()
    pushed: dict[str, object] = {}
    caught: list[WindrowError] = []

    def execute() -> None:
        try:
            operator.execute({"ti": Ti("killed by hand", pushed)})
        except WindrowError as error:
            caught.append(error)

    task = threading.Thread(target=execute)
    task.start()
    eventually(lambda: operator._job is not None)
    operator.on_kill()
    task.join(30)
    assert [error.code for error in caught] == ["E_CANCELLED"]
    assert jobs(hook, "killed")[0]["state"] == "cancelled"


def test_a_task_that_is_killed_while_it_hands_its_job_over_cancels_it(
    bag: DagBag, hook: WindrowHook
) -> None:
    operator = bag.dags["killed"].get_task("job").prepare_for_execution()
    operator.on_kill()
    with pytest.raises(WindrowError, match="E_CANCELLED"):
        operator.execute({"ti": Ti("killed early", {})})
    assert jobs(hook, "killed")[0]["state"] == "cancelled"


class Ti:
    """What a task asks of its instance, where no Airflow runs it."""

    dag_id, task_id, map_index, max_tries = "killed", "job", -1, 0

    def __init__(self, run_id: str, pushed: dict[str, object]) -> None:
        self.run_id, self.pushed = run_id, pushed

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


def test_a_trigger_that_was_sent_elsewhere_fires_when_its_job_ends(
    bag: DagBag, hook: WindrowHook
) -> None:
    job, _ = hook.submit(waiting(bag, "triggers", 30), request_id="a trigger's")
    path, arguments = WindrowJobTrigger("windrow_default", job, 0.05).serialize()
    assert path == "windrow_airflow.trigger.WindrowJobTrigger"
    trigger = WindrowJobTrigger(**json.loads(json.dumps(arguments)))

    async def fire() -> dict[str, object]:
        event = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.to_thread(hook.cancel, job)
        return (await event).payload

    event = asyncio.run(fire())
    assert event["summary"]["state"] == "cancelled"


class Triggerer:
    """A real one, which runs triggers in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]
        quiet = subprocess.DEVNULL
        # What one leaves is taken over by the next after so many seconds.
        env = {**os.environ, "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5"}
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=env)

    def begins(self, dag_id: str, count: int) -> bool:
        """Each triggerer that begins to wait for a task leaves a log of its own about it."""
        assert self.process.poll() is None
        logs = (HOME / "airflow/logs").glob(f"dag_id={dag_id}/**/*.trigger.*.log")
        return len(list(logs)) == count

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class LeftToATriggerer(BaseException):
    """A task has deferred itself."""


def leave_to_a_triggerer(*_: object) -> None:
    raise LeftToATriggerer


def test_a_job_ends_with_its_deferred_task_and_not_with_a_triggerer(
    bag: DagBag, hook: WindrowHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow.sdk.definitions.dag._run_inline_trigger", leave_to_a_triggerer)
    with pytest.raises(LeftToATriggerer):
        bag.dags["given_up"].test()
    set_state("given_up", TaskInstanceState.DEFERRED)

    first = Triggerer()
    try:
        eventually(lambda: first.begins("given_up", 1))
    finally:
        first.stop()
    [job] = jobs(hook, "given_up")
    assert "endedAt" not in job

    second = Triggerer()
    try:
        eventually(lambda: second.begins("given_up", 2))
        set_state("given_up", TaskInstanceState.FAILED)
        eventually(lambda: jobs(hook, "given_up")[0]["state"] == "cancelled")
    finally:
        second.stop()


def set_state(dag_id: str, state: TaskInstanceState) -> None:
    """As somebody does by hand."""
    with create_session() as session:
        [ti] = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag_id))
        ti.state = state


def test_sensors_wait_for_the_job_of_another_task(bag: DagBag) -> None:
    tasks = run(bag, "senses")
    assert {name: task["state"] for name, task in tasks.items()} == {
        "job": "success",
        "sensed": "success",
        "deferred": "success",
    }
    assert tasks["sensed"]["result"] == tasks["deferred"]["result"]
    assert tasks["sensed"]["result"]["job"] == tasks["job"]["result"]["job"]


def test_a_sensor_fails_with_its_job(bag: DagBag) -> None:
    assert run(bag, "senses_failure")["sensed"]["state"] == "failed"


def test_mapped_tasks_have_jobs_of_their_own(bag: DagBag) -> None:
    tasks = run(bag, "maps")
    assert [task["state"] for task in tasks.values()] == ["success", "success"]
    assert {task["result"]["name"] for task in tasks.values()} == {"maps_a", "maps_b"}


def test_the_dag_of_the_readme_makes_the_manifest_of_the_command_line(
    bag: DagBag, cluster: Cluster
) -> None:
    """A spec beside its DAG, with relative paths and a model that goes along."""
    task = run(bag, "score_orders")["score"]
    assert task["state"] == "success"
    day = task["result"]["name"].removeprefix("score-")
    shutil.rmtree(cluster.data / "out" / day)
    command = [*CLI, "run", "score.yaml", "--set", f"day={day}", "--workers", "1"]
    command += ["--state", str(HOME / "command-line")]
    done = subprocess.run(
        command, cwd=cluster.data / "dags", check=True, capture_output=True, text=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["upToDate"], result["rowsInferred"]) == (False, 1000)
    hashes = {output["name"]: output["manifestHash"] for output in result["outputs"]}
    assert task["result"]["manifests"] == hashes


def test_a_coordinator_that_dies_and_comes_back_is_waited_for(
    bag: DagBag, cluster: Cluster, hook: WindrowHook
) -> None:
    job, _ = hook.submit(waiting(bag, "survives", 31), request_id="survives")
    cluster.kill_coordinator()
    back = threading.Thread(target=cluster.start_coordinator)
    back.start()
    assert hook.submit(waiting(bag, "survives", 31), request_id="survives") == (
        job,
        True,
    )
    back.join()
    assert hook.cancel(job)["state"] == "cancelled"


def test_a_wrong_token_is_told(cluster: Cluster) -> None:
    given = {**cluster.connection, "password": "another", "extra": "{}"}
    hook = WindrowHook(connection=Connection(conn_id="wrong", **given))
    reached, message = hook.test_connection()
    assert not reached
    assert "E_UNAUTHENTICATED" in message


def test_a_coordinator_with_tls_is_known_by_its_certificate(cluster: Cluster) -> None:
    certificate, key = str(HOME / "tls.pem"), str(HOME / "tls.key")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run(command, check=True, capture_output=True)
    secure = Cluster(cluster.data, "secure", "--tls-cert", certificate, "--tls-key", key)
    try:
        given = {**secure.connection, "schema": "https"}
        verdicts = {}
        for verify in (certificate, False, True):
            extra = json.dumps({"verify": verify, "patience": 0})
            hook = WindrowHook(connection=Connection(conn_id="secure", **{**given, "extra": extra}))
            verdicts[verify] = hook.test_connection()
    finally:
        secure.stop()
    assert verdicts[certificate] == verdicts[False] == (True, "reached, 0 workers")
    assert not verdicts[True][0]
    assert "certificate" in verdicts[True][1].lower()


def test_a_link_leads_where_the_connection_says() -> None:
    extra = json.dumps({"link": "https://jobs.example/{job}?of=windrow"})
    hook = WindrowHook(connection=Connection(conn_id="c", conn_type="windrow", extra=extra))
    assert hook.link("a/b") == "https://jobs.example/a%2Fb?of=windrow"


def test_airflow_knows_the_connection_type() -> None:
    known = ProvidersManager().hooks["windrow"]
    assert known is not None
    assert known.hook_name == "Windrow"
    assert "windrow_airflow.operator.WindrowJobLink" in ProvidersManager().extra_links_class_names


def waiting(bag: DagBag, name: str, least: int) -> dict[str, object]:
    """A job that no worker will ever take."""
    given = bag.dags["waits"].get_task("job").spec
    output = {"from": "large", "parquet": f"{HOME}/data/out/{name}"}
    changed = {
        "metadata": {"name": name},
        "params": {"least": least},
        "outputs": [output],
    }
    return {**given, **changed}


def cancel(hook: WindrowHook, name: str, count: int) -> None:
    """Cancels the newest job of that name once there are so many."""
    eventually(lambda: len(jobs(hook, name)) == count)
    hook.cancel(name)


def eventually(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(POLLS):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come about")
