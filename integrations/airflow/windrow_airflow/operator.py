"""Runs a Windrow job as a task: hands it over once, follows it, cancels it with the task. Never
decides what of a job is done again: the coordinator does."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from airflow.configuration import conf
from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.execution_time.xcom import XCom

from windrow_airflow.errors import ENDED, WindrowError, error_of, succeeded, summary_of
from windrow_airflow.hook import WindrowHook
from windrow_airflow.spec import load
from windrow_airflow.trigger import WindrowJobTrigger

LINK_KEY = "windrow_job_link"


class WindrowJobLink(BaseOperatorLink):
    """Leads from a task to its job's description at the gateway."""

    name = "Windrow job"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        return XCom.get_value(ti_key=ti_key, key=LINK_KEY) or ""


def request_id(context: Context) -> str:
    """
    The name under which a task hands its job over, 72 characters; the same for every try, so that a
    retry finds the job that an earlier one left running. `max_tries` changes only when somebody
    clears the task: then it is asked for again.
    """
    ti = context["ti"]
    task = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.max_tries]
    return _named(task)


def _named(parts: Sequence[Any]) -> str:
    return f"airflow-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


class WindrowSubmitJobOperator(BaseOperator):
    """
    Runs a job to its end.

    Its result is `{"job", "name", "state", "upToDate", "rows", "manifests"}`, where `manifests` has
    the manifest hash of each output by name.

    :param spec: the path of a YAML or JSON spec on the Airflow worker, absolute or relative to the
        DAG's file, or what would stand in one. Not templated: `{{ }}` in a spec is Windrow's own
    :param job_params: values of params that the spec declares; templated
    :param windrow_conn_id: id of the connection
    :param deferrable: wait in the triggerer instead of in a worker's slot
    :param poll_seconds: seconds between two looks at the job
    :param wait_for_completion: false: the task is done once the job is accepted, its result has
        the state that the job has then, and the job goes on whatever happens to the task
    """

    template_fields: Sequence[str] = ("job_params", "windrow_conn_id")
    template_fields_renderers = {"job_params": "json"}
    operator_extra_links = (WindrowJobLink(),)
    ui_color = "#e8f0d8"

    def __init__(
        self,
        *,
        spec: str | os.PathLike[str] | Mapping[str, Any],
        job_params: Mapping[str, Any] | None = None,
        windrow_conn_id: str = WindrowHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_seconds: float = 5,
        wait_for_completion: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.job_params = job_params
        self.windrow_conn_id = windrow_conn_id
        self.deferrable = deferrable
        self.poll_seconds = poll_seconds
        self.wait_for_completion = wait_for_completion
        self._job: str | None = None
        self._killed = False

    @cached_property
    def hook(self) -> WindrowHook:
        return WindrowHook(self.windrow_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        :raises WindrowError: the job's failure, or why it was not accepted
        :raises WindrowRefused: the same where trying again cannot help
        """
        job = self._submit(context)
        if self.wait_for_completion:
            self._job = job
        if self._killed:
            self.on_kill()
        context["ti"].xcom_push(key=LINK_KEY, value=self.hook.link(job))
        self.log.info("job %s: %s", job, self.hook.link(job))
        if not self.wait_for_completion:
            return summary_of(self.hook.job(job))
        if self.deferrable:
            self.defer(
                trigger=WindrowJobTrigger(
                    self.windrow_conn_id, job, self.poll_seconds, cancel_on_kill=True
                ),
                method_name="execute_complete",
            )
        while (view := self.hook.job(job))["state"] not in ENDED:
            time.sleep(self.poll_seconds)
        return succeeded(summary_of(view))

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """What the trigger has seen, as the task's result or its exception."""
        return result_of(event)

    def on_kill(self) -> None:
        """Ends the job for good, unless it is publishing already; one that is just being handed
        over, as soon as its id is known."""
        self._killed = True
        if self._job is None:
            return
        try:
            self.log.info("job %s is %s", self._job, self.hook.cancel(self._job)["state"])
        except WindrowError as error:
            self.log.warning("job %s is not cancelled: %s", self._job, error)

    def _submit(self, context: Context) -> str:
        """The job of this task: one that is under way or done, or else a new one."""
        params = self.job_params or {}
        spec, files = load(self.spec, params, self.dag.folder)
        name = request_id(context)
        while True:
            job, existing = self.hook.submit(spec, request_id=name, params=params, files=files)
            if not existing or self.hook.job(job)["state"] not in ENDED - {"succeeded"}:
                return job
            # An earlier try's job has failed; the one after it has a name that every try can tell.
            name = _named([name, job])


def result_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """
    A trigger's event as a task's result.

    :raises WindrowError: the job's failure, or why it could not be asked about
    """
    if "error" in event:
        raise error_of(event["error"])
    return succeeded(event["summary"])
