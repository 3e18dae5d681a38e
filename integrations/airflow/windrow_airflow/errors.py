"""Windrow's failures as Airflow's exceptions, and what a task hands on of a job that has ended.
Never asks a coordinator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.exceptions import AirflowException, AirflowFailException

ENDED = frozenset({"succeeded", "failed", "cancelled", "superseded"})
"""States that a job does not leave; `suspended` is none of them."""

FINAL_KINDS = frozenset({"invalidSpec", "userCode", "badData"})
"""Kinds of failure that the same task would meet again."""


class WindrowError(AirflowException):
    """
    What went wrong, as a coordinator tells it.

    `code` is stable (docs/ERRORS.md of Windrow), `kind` says whose fault it was.
    """

    def __init__(self, failure: Mapping[str, Any]) -> None:
        self.failure = dict(failure)
        self.kind: str = failure["kind"]
        self.code: str = failure["code"]
        place = ", ".join(f"{name} {value}" for name, value in failure.get("at", {}).items())
        where = f" ({place})" if place else ""
        hint = f"; {failure['hint']}" if failure.get("hint") else ""
        super().__init__(f"{self.code}: {failure['message']}{where}{hint}")


class WindrowRefused(WindrowError, AirflowFailException):
    """The same, where trying the task again cannot help: Airflow does not."""


def error_of(failure: Mapping[str, Any]) -> WindrowError:
    """A failure (`kind`, `code`, `message`, perhaps `at` and `hint`) as the exception to raise."""
    return (WindrowRefused if failure["kind"] in FINAL_KINDS else WindrowError)(failure)


def summary_of(view: Mapping[str, Any]) -> dict[str, Any]:
    """What a task and a trigger hand on of a job, as JSON; a failure only if there is one."""
    outputs = view["outputs"]
    return {
        "job": view["job"],
        "name": view["name"],
        "state": view["state"],
        "upToDate": view["upToDate"],
        "rows": view["rows"],
        "manifests": {
            each["name"]: each["manifestHash"] for each in outputs if "manifestHash" in each
        },
        **({"failure": view["failure"]} if "failure" in view else {}),
    }


def succeeded(summary: Mapping[str, Any]) -> dict[str, Any]:
    """
    The summary of a job that has ended, if it ended well.

    :raises WindrowError: with the job's own failure, or E_CANCELLED
    :raises WindrowRefused: the same where a retry would fail as well
    """
    if summary["state"] == "succeeded":
        return dict(summary)
    job = f"job {summary['job']} ({summary['name']})"
    if "failure" in summary and summary["state"] == "failed":
        failure = summary["failure"]
        raise error_of({**failure, "message": f"{job} failed: {failure['message']}"})
    raise error_of(
        {
            "kind": "cancelled",
            "code": "E_CANCELLED",
            "message": f"{job} was {summary['state']}",
            "hint": "a newer job of the same name supersedes an unfinished one"
            if summary["state"] == "superseded"
            else "somebody has asked for it",
        }
    )
