"""Records what a real Airflow's timetables answer where the clocks change, as JSON for
test/shared/calendar. Usage: see README.md beside this file.
"""

import json
import pathlib
import sys

from timetables import TimeRestriction, instant, iso, next_run, timetable_of, versions

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
LORD_HOWE, KATHMANDU = "Australia/Lord_Howe", "Asia/Kathmandu"
SAO_PAULO, SANTIAGO, UTC = "America/Sao_Paulo", "America/Santiago", "UTC"

# kind, cron or ISO duration, zone, catchup, startDate, endDate, now at the beginning, runs to record.
# The clocks change: Berlin 2025-03-30, 2025-10-26, 2026-03-29; New York 2025-11-02, 2026-03-08;
# Lord Howe, by half an hour, 2025-10-05, 2026-04-05; Santiago, at midnight, 2025-09-07, 2026-04-05.
SCHEDULES = [
    ("cronInterval", "@daily", BERLIN, True, "2025-03-27", None, None, 6),
    ("cronInterval", "30 2 * * *", BERLIN, True, "2025-03-27", None, None, 6),
    ("cronInterval", "30 2 * * *", BERLIN, True, "2025-10-23", None, None, 6),
    ("cronInterval", "30 * * * *", BERLIN, True, "2025-03-29T22:00Z", None, None, 6),
    ("cronInterval", "30 * * * *", BERLIN, True, "2025-10-25T22:00Z", None, None, 6),
    ("cronInterval", "*/20 * * * *", BERLIN, True, "2025-10-25T23:30Z", None, None, 14),
    ("cronInterval", "0 */2 * * *", BERLIN, True, "2026-03-28T20:00Z", None, None, 8),
    ("cronInterval", "0,30 1-3 * * *", BERLIN, True, "2025-10-25", None, None, 16),
    ("cronInterval", "30 1 * * mon-fri", NEW_YORK, True, "2025-10-30", None, None, 6),
    ("cronInterval", "30 1 * * *", NEW_YORK, True, "2025-10-31", None, None, 6),
    ("cronTrigger", "30 2 * * *", NEW_YORK, True, "2026-03-06", None, None, 6),
    ("cronTrigger", "15 1,2 * * *", NEW_YORK, True, "2025-11-01", None, None, 8),
    ("cronInterval", "45 1 * * *", LORD_HOWE, True, "2026-04-02", None, None, 6),
    ("cronInterval", "15 2 * * *", LORD_HOWE, True, "2025-10-02", None, None, 6),
    ("cronInterval", "*/30 * * * *", LORD_HOWE, True, "2025-10-04T14:00Z", None, None, 8),
    ("cronInterval", "*/30 * * * *", LORD_HOWE, True, "2026-04-04T13:00Z", None, None, 10),
    ("cronInterval", "@daily", SANTIAGO, True, "2025-09-04", None, None, 6),
    ("cronInterval", "30 23 * * *", SANTIAGO, True, "2026-04-02", None, None, 6),
    ("cronInterval", "15 6 * * *", KATHMANDU, True, "2025-12-30", None, None, 5),
    ("cronTrigger", "@monthly", SAO_PAULO, True, "2025-06-15", None, None, 14),
    ("cronInterval", "@weekly", UTC, True, "2025-01-01", "2025-02-09", None, 9),
    ("cronInterval", "@quarterly", NEW_YORK, True, "2025-01-01", None, None, 7),
    ("cronInterval", "@yearly", LORD_HOWE, True, "2020-01-01", None, None, 7),
    ("cronInterval", "0 0 29 2 *", UTC, True, "2090-01-01", None, None, 4),
    ("cronInterval", "0 12 L * *", BERLIN, True, "2025-01-01", None, None, 15),
    ("cronInterval", "0 9 * * fri#2,mon#5", BERLIN, True, "2025-01-01", None, None, 12),
    ("cronInterval", "0 9 * * L5", SAO_PAULO, True, "2025-01-01", None, None, 12),
    ("cronInterval", "0 6 13 * fri", UTC, True, "2025-01-01", None, None, 12),
    ("cronInterval", "0 6 */1 * */2", UTC, True, "2025-01-01", None, None, 8),
    ("cronInterval", "0 6 1-31 * 2", UTC, True, "2025-01-01", None, None, 8),
    ("cronInterval", "0 22-4 * * sat-mon", KATHMANDU, True, "2025-01-01", None, None, 20),
    ("cronInterval", "10/25 0-12/6 ? jan-mar,dec 5-7", UTC, True, "2025-01-01", None, None, 16),
    ("cronInterval", "0 0 * * * */20", UTC, True, "2025-01-01", None, None, 6),
    ("delta", "PT24H", BERLIN, True, "2025-03-29T02:30Z", None, None, 4),
    ("delta", "PT90M", NEW_YORK, True, "2025-11-02T03:07Z", "2025-11-02T09:07Z", None, 8),
    # Without catchup: after a start date in the past, in the future, with none, at a firing.
    ("cronInterval", "0 3 * * *", BERLIN, False, "2025-01-01", None, "2025-03-28T17:00Z", 5),
    ("cronInterval", "0 3 * * *", BERLIN, False, "2025-05-01", None, "2025-03-28T17:00Z", 3),
    ("cronInterval", "0 3 * * *", BERLIN, False, None, None, "2025-10-28T02:00Z", 3),
    ("cronInterval", "0 3 * * *", BERLIN, False, "2025-10-27T02:00Z", None, "2025-10-28T12:00Z", 3),
    ("cronInterval", "@hourly", NEW_YORK, False, None, None, "2025-11-02T05:10Z", 5),
    ("cronTrigger", "0 3 * * *", BERLIN, False, "2025-01-01", None, "2025-03-28T17:00Z", 5),
    ("cronTrigger", "0 3 * * *", BERLIN, False, "2025-05-01", None, "2025-03-28T17:00Z", 3),
    ("cronTrigger", "0 3 * * *", BERLIN, False, None, None, "2025-03-28T17:00Z", 3),
    ("cronTrigger", "0 3 * * *", BERLIN, False, None, None, "2025-03-28T02:00Z", 3),
    ("cronTrigger", "0 3 * * *", BERLIN, False, None, None, "2025-03-28T04:23Z", 3),
    ("cronTrigger", "0 3 * * *", BERLIN, False, None, None, "2025-03-28T04:25Z", 3),
    ("cronTrigger", "*/20 * * * *", UTC, False, None, None, "2025-03-28T04:05Z", 3),
    ("cronTrigger", "*/20 * * * *", UTC, False, None, None, "2025-03-28T04:06Z", 3),
    ("cronTrigger", "0 3 * * *", BERLIN, False, "2025-01-01", "2025-03-29", "2025-03-28T17:00Z", 3),
    ("delta", "PT1H", UTC, False, "2025-01-01T00:07Z", None, "2025-03-28T17:20Z", 4),
    ("delta", "PT1H", UTC, False, "2025-05-01T00:07Z", None, "2025-03-28T17:20Z", 4),
    ("delta", "PT1H", UTC, False, None, None, "2025-03-28T17:00Z", 4),
]

# From where to where the clock jumps after the second run was made: what follows a downtime or a pause.
DOWNTIMES = [
    ("cronInterval", "0 3 * * *", BERLIN, False, "2025-03-01", "2025-03-05T12:00Z", "2025-03-28T17:00Z"),
    ("cronInterval", "0 3 * * *", BERLIN, False, "2025-03-01", "2025-03-05T12:00Z", "2025-03-28T02:00Z"),
    ("cronInterval", "0 3 * * *", BERLIN, True, "2025-03-01", "2025-03-05T12:00Z", "2025-03-28T17:00Z"),
    ("cronTrigger", "0 3 * * *", BERLIN, False, "2025-03-01", "2025-03-05T12:00Z", "2025-03-28T17:00Z"),
    ("cronTrigger", "0 3 * * *", BERLIN, True, "2025-03-01", "2025-03-05T12:00Z", "2025-03-28T17:00Z"),
    ("delta", "PT1H", UTC, False, "2025-03-05T11:37Z", "2025-03-05T12:00Z", "2025-03-28T17:20Z"),
    ("delta", "PT1H", UTC, True, "2025-03-05T11:37Z", "2025-03-05T12:00Z", "2025-03-28T17:20Z"),
]

# Here Airflow leaves its own expression or loses a firing; docs/SCHEDULES.md says what Windrow does.
DIFFERENT = [
    ("cronInterval", "0,30 1-3 * * *", BERLIN, True, "2026-03-28T22:00Z", None, None, 5),
    ("cronInterval", "0 * * * mon", BERLIN, True, "2025-10-20T19:00Z", None, None, 5),
    ("cronInterval", "30 * * * *", LORD_HOWE, True, "2025-10-04T14:00Z", None, None, 4),
    ("cronInterval", "30 * * * *", LORD_HOWE, True, "2026-04-04T13:00Z", None, None, 5),
    ("cronInterval", "15,40 2 * * *", LORD_HOWE, True, "2025-10-04T12:00Z", None, None, 3),
    ("cronInterval", "30 2 * * *", BERLIN, True, "2025-10-26T00:30Z", None, None, 2),
]


def record(schedule, jump=None):
    kind, rule, zone, catchup, start, end, now, count = schedule
    timetable = timetable_of(kind, rule, zone)
    restriction = TimeRestriction(instant(start), instant(end), catchup)
    asked = instant(now) or instant(start)
    last, runs = None, []
    for number in range(count):
        if number == 2 and jump is not None:
            asked = instant(jump)
        last = next_run(timetable, last, restriction, asked)
        if last is None:
            break
        runs.append([iso(last.start), iso(last.end)])
        # A run is made when it is due, and only then is the next one asked for.
        asked = max(asked, last.end)
    return {
        "kind": kind,
        "rule": rule,
        "zone": zone,
        "catchup": catchup,
        "startDate": start and iso(instant(start)),
        "endDate": end and iso(instant(end)),
        "now": iso(instant(now or start)),
        **({"jumpTo": iso(instant(jump))} if jump else {}),
        "runs": runs,
    }


vectors = {
    "versions": versions(),
    "schedules": [record(schedule) for schedule in SCHEDULES],
    "downtimes": [record((*each[:5], None, each[5], 4), jump=each[6]) for each in DOWNTIMES],
    "different": [record(schedule) for schedule in DIFFERENT],
}
path = pathlib.Path(sys.argv[1])
path.write_text(json.dumps(vectors, indent=1) + "\n")
