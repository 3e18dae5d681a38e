"""Airflow's own timetables under a simulated clock, for the scripts beside this file that record them.
Calls next_dagrun_info and nothing else of Airflow.
"""

import datetime as dt
import importlib.metadata

import pendulum
from airflow.timetables import interval, trigger
from airflow.timetables.base import DataInterval, TimeRestriction

clock = {}


def simulated_now():
    return clock["now"]


interval.utcnow = trigger.utcnow = simulated_now


def instant(text):
    return None if text is None else pendulum.parse(text, tz="UTC")


def iso(moment):
    return moment.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def timetable_of(kind, rule, zone):
    if kind == "cronInterval":
        return interval.CronDataIntervalTimetable(rule, pendulum.timezone(zone))
    if kind == "cronTrigger":
        return trigger.CronTriggerTimetable(rule, timezone=pendulum.timezone(zone))
    return interval.DeltaDataIntervalTimetable(pendulum.parse(rule).as_timedelta())


def next_run(timetable, last, restriction, now):
    """The run that follows `last`, asked for at `now`, as a data interval; None if there is none."""
    clock["now"] = now
    info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
    if info is None:
        return None
    assert info.run_after == info.data_interval.end
    return DataInterval(info.data_interval.start, info.data_interval.end)


def versions():
    return {name: importlib.metadata.version(name) for name in ("apache-airflow", "croniter", "pendulum", "tzdata")}
