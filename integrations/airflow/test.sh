#!/usr/bin/env bash
# Tests the provider inside a real Airflow from PyPI against the coordinator of this checkout's build.
# WINDROW_HOME: another built checkout. WINDROW_AIRFLOW_VENV: where Airflow is installed, kept for the
# next time. WINDROW_REQUIRE_AIRFLOW=1: an Airflow that cannot be installed is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

airflow=3.3.2
venv=${WINDROW_AIRFLOW_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/windrow/airflow-$airflow}
export WINDROW_HOME=${WINDROW_HOME:-$(cd ../.. && pwd)} PYTHONDONTWRITEBYTECODE=1

if [[ ! -f $WINDROW_HOME/dist/cli/main.js ]]; then
  echo "there is no build in $WINDROW_HOME: npm run build"
  exit 1
fi

install_airflow() {
  python3 -m venv "$venv" &&
    "$venv/bin/pip" install --quiet "apache-airflow==$airflow" 'pytest>=8'
}

if ! install_airflow; then
  echo "skipped: Airflow $airflow cannot be installed here, so nothing of its provider was tested"
  exit "${WINDROW_REQUIRE_AIRFLOW:-0}"
fi
"$venv/bin/pip" install --quiet --no-deps .
"$venv/bin/pytest" -q -p no:cacheprovider -W ignore::DeprecationWarning "$@"
