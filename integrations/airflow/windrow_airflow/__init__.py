"""Runs Windrow jobs from Airflow. Here is what Airflow wants to know about it, no more."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's entry point, in the shape of Airflow's provider_info.schema.json."""
    return {
        "package-name": "airflow-provider-windrow",
        "name": "Windrow",
        "description": "Runs Windrow jobs over its HTTP gateway.",
        "connection-types": [
            {
                "connection-type": "windrow",
                "hook-class-name": "windrow_airflow.hook.WindrowHook",
            }
        ],
        "extra-links": ["windrow_airflow.operator.WindrowJobLink"],
    }
