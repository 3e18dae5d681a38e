"""Records every run that a real Airflow's timetables make in 2026, as JSON for test/shared/calendar: with
catchup, and without it beside downtimes of the scheduler. Usage: see README.md beside this file.
"""

import itertools
import json
import pathlib
import random
import sys
import textwrap

import pendulum

from timetables import TimeRestriction, instant, iso, next_run, timetable_of, versions

FIRST, LAST = instant("2026-01-01"), instant("2027-01-01")
MINUTE = pendulum.duration(minutes=1)

# The clocks change: Casablanca 02-15 (back, for Ramadan) and 03-22, New York 03-08 and 11-01, Troll (by
# two hours) and Berlin 03-29 and 10-25, Lord Howe (by half an hour) and Chatham 04-05, then 10-04 and
# 09-27, Santiago (at midnight) 04-05 and 09-06, Cairo (at midnight) 04-24 and 10-30. Kolkata never.
SCHEDULES = [
    ("cronInterval", "*/15 * * * *", "Europe/Berlin"),
    ("cronInterval", "30 2 * * *", "Europe/Berlin"),
    ("cronTrigger", "30 2 * * *", "Europe/Berlin"),
    ("cronInterval", "0 9,17 * * mon-fri", "America/New_York"),
    ("cronTrigger", "30 1 * * *", "America/New_York"),
    ("cronInterval", "0 6 1,15 * *", "America/New_York"),
    ("cronInterval", "15 2 * * *", "Australia/Lord_Howe"),
    ("cronTrigger", "*/30 * * * *", "Australia/Lord_Howe"),
    ("cronInterval", "@daily", "America/Santiago"),
    ("cronInterval", "45 23 * * sat", "America/Santiago"),
    ("cronInterval", "0 18 L * *", "Asia/Kolkata"),
    ("cronInterval", "@daily", "Asia/Kolkata"),
    ("cronInterval", "30 2 * * *", "Africa/Casablanca"),
    ("cronTrigger", "0 9 * * fri#2,mon#5", "Africa/Casablanca"),
    ("cronInterval", "@weekly", "Africa/Cairo"),
    ("cronTrigger", "0 0 13 * fri", "Africa/Cairo"),
    ("cronInterval", "0 */6 * * *", "Pacific/Chatham"),
    ("cronInterval", "@hourly", "Antarctica/Troll"),
    ("cronTrigger", "15 2 * * *", "Antarctica/Troll"),
    ("delta", "PT6H", "UTC"),
    ("delta", "PT25H", "UTC"),
    ("delta", "P7D", "UTC"),
]

# Here Airflow leaves its own expression or loses a firing; docs/SCHEDULES.md says what Windrow does.
DIFFERENT = [
    ("cronInterval", "0,30 1-3 * * *", "Europe/Berlin"),
    ("cronInterval", "30 * * * *", "Australia/Lord_Howe"),
    ("cronTrigger", "15,40 2 * * *", "Australia/Lord_Howe"),
]


def downtimes(seed):
    """Times in which no scheduler looks: minutes to weeks long, some over a change of the clock."""
    chance = random.Random(seed)
    found, at = [], FIRST
    while True:
        at += MINUTE * chance.randint(60, 12 * 1440)
        until = at + MINUTE * chance.choice([chance.randint(5, 240), chance.randint(240, 10 * 1440)])
        if until >= LAST:
            return found
        found.append((at, until))
        at = until


def record(schedule, catchup, down):
    timetable = timetable_of(*schedule)
    restriction = TimeRestriction(FIRST, None, catchup)
    last, now, runs = None, FIRST, []
    while True:
        run = next_run(timetable, last, restriction, now)
        if run.end <= now:
            runs.append(run)
            last = run
            continue
        # It is looked at again when it is due, or once a scheduler is there.
        now = next((until for since, until in down if since <= run.end < until), run.end)
        if now >= LAST:
            return coded(runs)


def coded(runs):
    """`gap+length*count`: minutes from the end of the run before to the start, and from there to the end."""
    ends = [FIRST, *(run.end for run in runs)]
    pairs = [((run.start - end) // MINUTE, (run.end - run.start) // MINUTE) for run, end in zip(runs, ends)]
    grouped = ((gap, length, len(list(same))) for (gap, length), same in itertools.groupby(pairs))
    words = [f"{gap}+{length}" + (f"*{count}" if count > 1 else "") for gap, length, count in grouped]
    return textwrap.wrap(" ".join(words), 90)


def named(schedule):
    return dict(zip(("kind", "rule", "zone"), schedule))


down = downtimes(seed=2026)
year = {
    "versions": versions(),
    "first": iso(FIRST),
    "last": iso(LAST),
    "downtimes": [f"{iso(since)[:16]}/{iso(until)[:16]}" for since, until in down],
    "schedules": [
        {**named(each), "catchup": record(each, True, []), "latest": record(each, False, down)} for each in SCHEDULES
    ],
    "different": [{**named(each), "catchup": record(each, True, [])} for each in DIFFERENT],
}
path = pathlib.Path(sys.argv[1])
path.write_text(json.dumps(year, indent=1) + "\n")
