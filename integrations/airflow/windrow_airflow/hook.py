"""The verbs of a coordinator's HTTP gateway that tasks need. Every request may be made again, so an
answer that does not come is asked for again; never decides what a task makes of an answer."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx
from airflow.sdk import BaseHook, Connection

from windrow_airflow.errors import WindrowError, error_of
from windrow_airflow.spec import LocalFile

RETRY_SECONDS = 1.0


class WindrowHook(BaseHook):
    """
    Speaks to the gateway that a connection of type `windrow` names.

    Host and port are those of `--http`, schema is `https` (default) or `http`, password the client
    token. Extra, all optional: `verify` (false, or the path of a CA's PEM file), `cert` and `key`
    (paths of PEM files), `timeout` (seconds for one request, default 300), `patience` (seconds to
    go on asking a coordinator that does not answer, default 60), `link` (where people look at a
    job, `{job}` its id; default its description at the gateway).

    :param windrow_conn_id: id of the connection
    :param connection: the connection itself, for callers that have it already
    """

    conn_name_attr = "windrow_conn_id"
    default_conn_name = "windrow_default"
    conn_type = "windrow"
    hook_name = "Windrow"

    def __init__(
        self,
        windrow_conn_id: str = default_conn_name,
        connection: Connection | None = None,
    ) -> None:
        super().__init__()
        self.windrow_conn_id = windrow_conn_id
        if connection is not None:
            self.connection = connection

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        return {
            "hidden_fields": ["login"],
            "relabeling": {"password": "Client token", "schema": "http or https"},
            "placeholders": {
                "port": "7480",
                "extra": '{"verify": "/etc/windrow/ca.pem"}',
            },
        }

    @cached_property
    def connection(self) -> Connection:
        return self.get_connection(self.windrow_conn_id)

    @cached_property
    def base_url(self) -> str:
        host, port = self.connection.host or "127.0.0.1", self.connection.port or 7480
        shown = f"[{host}]" if ":" in host else host
        return f"{self.connection.schema or 'https'}://{shown}:{port}"

    def get_conn(self) -> httpx.Client:
        """The HTTP client, with the connection's token and TLS."""
        return self._client

    @cached_property
    def _client(self) -> httpx.Client:
        extra, token = self.connection.extra_dejson, self.connection.password
        return httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            verify=_tls(extra),
            timeout=httpx.Timeout(float(extra.get("timeout", 300)), connect=10),
        )

    def submit(
        self,
        spec: Mapping[str, Any],
        *,
        request_id: str,
        params: Mapping[str, Any] | None = None,
        files: Mapping[str, LocalFile] | None = None,
    ) -> tuple[str, bool]:
        """
        Hands a job over; its id, and whether it had been there before.

        :param spec: as `windrow_airflow.spec.load` makes it, all paths absolute
        :param request_id: same id, same job; at most 200 characters
        :raises WindrowError: whatever the coordinator finds wrong; nothing is started
        """
        files = files or {}
        self._upload({file.digest: file for file in files.values()})
        body = {
            "spec": spec,
            "params": params or {},
            "files": {path: file.to_json() for path, file in files.items()},
            "requestId": request_id,
        }
        made = self._ask("POST", "/v1/jobs", json=body)
        return made["job"], made["existing"]

    def job(self, job: str) -> dict[str, Any]:
        """
        A JobView (docs/CLI.md of Windrow), by id or name.

        :raises WindrowError: E_NO_JOB, E_UNREACHABLE, E_UNAUTHENTICATED
        """
        return self._ask("GET", f"/v1/jobs/{_segment(job)}")

    def cancel(self, job: str) -> dict[str, Any]:
        """
        Ends a job for good; its JobView, also that of one that had ended already.

        :raises WindrowError: E_COMMITTING, E_NO_JOB, E_UNREACHABLE, E_UNAUTHENTICATED
        """
        return self._ask("POST", f"/v1/jobs/{_segment(job)}/cancel")

    def link(self, job: str) -> str:
        """Where people look at the job: the connection's `link`, or its description."""
        template = self.connection.extra_dejson.get("link")
        where = template or f"{self.base_url}/v1/jobs/{{job}}/description"
        return where.replace("{job}", _segment(job))

    def test_connection(self) -> tuple[bool, str]:
        """For the button in Airflow's connection form."""
        try:
            workers = self._ask("GET", "/v1/workers")["workers"]
        except WindrowError as error:
            return False, str(error)
        return True, f"reached, {len(workers)} workers"

    def _upload(self, files: Mapping[str, LocalFile]) -> None:
        if not files:
            return
        missing = self._ask("POST", "/v1/blobs/missing", json={"digests": list(files)})
        for digest in missing["digests"]:
            self._ask("PUT", f"/v1/blobs/{digest}", file=files[digest].path)

    def _ask(self, method: str, path: str, *, json: Any = None, file: str | None = None) -> Any:
        """
        One request, made again while nobody answers or the trouble is the coordinator's own.

        :raises WindrowError: what the problem document says, or E_UNREACHABLE
        """
        deadline = time.monotonic() + float(self.connection.extra_dejson.get("patience", 60))
        headers = {"Content-Type": "application/octet-stream"} if file else {}
        while True:
            try:
                with open(file, "rb") if file else nullcontext() as content:
                    answer = self._client.request(
                        method, path, json=json, content=content, headers=headers
                    )
            except httpx.TransportError as error:
                failure = _unreachable(f"no answer from {self.base_url}: {error}")
            else:
                if answer.is_success:
                    return answer.json()
                failure = _failure_of(answer)
                if answer.status_code < 500:
                    raise error_of(failure)
            if time.monotonic() >= deadline:
                raise error_of(failure)
            time.sleep(RETRY_SECONDS)


def _segment(text: str) -> str:
    """One segment of a path, whatever a job is called."""
    return quote(text, safe="")


def _tls(extra: Mapping[str, Any]) -> ssl.SSLContext:
    verify = extra.get("verify", True)
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "cert" in extra:
        context.load_cert_chain(extra["cert"], extra.get("key"))
    return context


def _failure_of(answer: httpx.Response) -> dict[str, Any]:
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem: dict[str, Any] = answer.json()
        others = [each["message"] for each in problem.get("problems", [])[1:]]
        return {**problem, "message": "; ".join([problem["message"], *others])}
    return _unreachable(f"{answer.url} answers {answer.status_code}, not as Windrow does")


def _unreachable(message: str) -> dict[str, Any]:
    hint = "check the connection's host, port and schema, and that the coordinator runs with --http"
    return {"kind": "io", "code": "E_UNREACHABLE", "message": message, "hint": hint}
