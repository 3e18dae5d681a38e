"""Waits for a job in the triggerer. Never raises what is wrong with the job: the task does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from windrow_airflow.errors import ENDED, WindrowError, summary_of
from windrow_airflow.hook import WindrowHook


class WindrowJobTrigger(BaseTrigger):
    """
    Fires once, when the job has ended or cannot be asked about any more.

    The event is `{"summary": …}` as `errors.summary_of` makes it, or `{"error": failure}`.

    :param job: id of the job
    :param poll_seconds: seconds between two looks at it
    :param cancel_on_kill: cancel the job when somebody marks or clears the task that waits
    """

    def __init__(
        self,
        windrow_conn_id: str,
        job: str,
        poll_seconds: float,
        cancel_on_kill: bool = False,
    ) -> None:
        super().__init__()
        self.windrow_conn_id = windrow_conn_id
        self.job = job
        self.poll_seconds = poll_seconds
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "windrow_conn_id": self.windrow_conn_id,
                "job": self.job,
                "poll_seconds": self.poll_seconds,
                "cancel_on_kill": self.cancel_on_kill,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        hook = await self._hook()
        try:
            # The hook blocks, and the triggerer's loop is everybody's.
            while (view := await asyncio.to_thread(hook.job, self.job))["state"] not in ENDED:
                await asyncio.sleep(self.poll_seconds)
        except WindrowError as error:
            yield TriggerEvent({"error": error.failure})
        else:
            yield TriggerEvent({"summary": summary_of(view)})

    async def on_kill(self) -> None:
        """
        Ends the job for good, unless it is publishing already. Airflow 3.3 calls it when the
        deferred task is marked or cleared by hand, and not when a triggerer leaves.
        """
        if not self.cancel_on_kill:
            return
        hook = await self._hook()
        try:
            view = await asyncio.to_thread(hook.cancel, self.job)
            self.log.info("the task was given up: job %s is %s", self.job, view["state"])
        except WindrowError as error:
            self.log.warning("job %s is not cancelled: %s", self.job, error)

    async def _hook(self) -> WindrowHook:
        connection = await BaseHook.aget_connection(self.windrow_conn_id)
        return WindrowHook(self.windrow_conn_id, connection)
