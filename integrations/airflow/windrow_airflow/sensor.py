"""Waits for a job that somebody else has handed over. Never changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow.configuration import conf
from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue

from windrow_airflow.errors import ENDED, succeeded, summary_of
from windrow_airflow.hook import WindrowHook
from windrow_airflow.operator import result_of
from windrow_airflow.trigger import WindrowJobTrigger


class WindrowJobSensor(BaseSensorOperator):
    """
    Done when a job has succeeded; its result is that of WindrowSubmitJobOperator.

    :param job: id of the job, or its name (then the newest of that name); templated
    :param windrow_conn_id: id of the connection
    :param deferrable: wait in the triggerer instead of in a worker's slot
    """

    template_fields: Sequence[str] = ("job", "windrow_conn_id")

    def __init__(
        self,
        *,
        job: str,
        windrow_conn_id: str = WindrowHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.windrow_conn_id = windrow_conn_id
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> WindrowHook:
        return WindrowHook(self.windrow_conn_id)

    def execute(self, context: Context) -> Any:
        if not self.deferrable or self.poke(context):
            return super().execute(context)
        self.defer(
            trigger=WindrowJobTrigger(self.windrow_conn_id, self.job, self.poke_interval),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """:raises WindrowError: the job's failure, E_CANCELLED, or why it cannot be asked about"""
        view = self.hook.job(self.job)
        return view["state"] in ENDED and PokeReturnValue(True, succeeded(summary_of(view)))

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        return result_of(event)
