"""DAGs that the tests run. `WINDROW_TEST_DATA` is the directory with the tests' data."""

import os
from datetime import timedelta

from airflow.sdk import DAG

from windrow_airflow.operator import WindrowSubmitJobOperator
from windrow_airflow.sensor import WindrowJobSensor

DATA = os.environ["WINDROW_TEST_DATA"]


def spec(name, where="amount > $least", **more):
    """A job that keeps some of the orders."""
    return {
        "apiVersion": "windrow/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "params": {"least": 10, "day": ""},
        "sources": {"orders": {"parquet": f"{DATA}/orders.parquet"}},
        "steps": [{"id": "large", "filter": {"from": "orders", "where": where}}],
        "outputs": [{"from": "large", "parquet": f"{DATA}/out/{name}", "mode": "overwrite"}],
        **more,
    }


def submit(dag_id, job, **more):
    with DAG(dag_id, schedule=None) as dag:
        WindrowSubmitJobOperator(
            task_id="job", spec=job, poll_seconds=0.1, retry_delay=timedelta(0), **more
        )
    return dag


# Not a number, which only a row can tell.
BAD = "cast('row ' || id as integer) > 0"


def waiting(name, least):
    """A job that waits until it is cancelled, as no worker serves its pool. No job before it may
    have kept the same rows: what is done needs no worker."""
    return spec(name, params={"least": least}, run={"pool": "nobody"})


succeeds = submit(
    "succeeds",
    spec("succeeds"),
    job_params={"least": "{{ 1000 + 10 }}", "day": "{{ ds }}"},
)
clears = submit("clears", spec("clears"))
defers = submit("defers", spec("defers"), deferrable=True)
fails = submit("fails", spec("fails", BAD), retries=1)
fails_deferred = submit("fails_deferred", spec("fails_deferred", BAD), deferrable=True)
refused = submit("refused", spec("refused", "amount > $most"), retries=1)
waits = submit("waits", waiting("waits", 20), retries=1)
killed = submit("killed", waiting("killed", 21))
given_up = submit("given_up", waiting("given_up", 22), deferrable=True)


class DiesOnce(WindrowSubmitJobOperator):
    """Its first try loses its process right after the job was accepted."""

    def _submit(self, context):
        job = super()._submit(context)
        if context["ti"].try_number == 1:
            raise OSError(f"the process that waited for {job} is gone")
        return job


with DAG("dies", schedule=None) as dies:
    DiesOnce(
        task_id="job",
        spec=spec("dies"),
        poll_seconds=0.1,
        retries=1,
        retry_delay=timedelta(0),
    )

with DAG("senses", schedule=None) as senses:
    job = WindrowSubmitJobOperator(task_id="job", spec=spec("senses"), wait_for_completion=False)
    sensed = WindrowJobSensor(
        task_id="sensed", job="{{ ti.xcom_pull('job')['job'] }}", poke_interval=0.1
    )
    deferred = WindrowJobSensor(
        task_id="deferred", job="senses", poke_interval=0.1, deferrable=True
    )
    job >> [sensed, deferred]

with DAG("senses_failure", schedule=None) as senses_failure:
    WindrowJobSensor(task_id="sensed", job="fails", poke_interval=0.1)

with DAG("maps", schedule=None) as maps:
    WindrowSubmitJobOperator.partial(task_id="job", poll_seconds=0.1).expand(
        spec=[spec("maps_a"), spec("maps_b")]
    )
