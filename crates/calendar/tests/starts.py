"""Writes starts.txt: when cycles begin by Python's zoneinfo and dateutil, for every zone, 1970 to 2100.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tzdata==2026.6 python-dateutil==2.9.0.post0
  PYTHONTZPATH= /tmp/venv/bin/python starts.py > starts.txt

One line a zone: its name, and the CRC-32 of all beginnings, as decimal milliseconds, each followed by a line feed: monthly
on the 1st, the 2nd ... the 31st, then yearly on 29 February and on 30 December; from 1 March 1970 on.
"""

import importlib.metadata
import multiprocessing
import zlib
import zoneinfo
from datetime import date, datetime, timedelta, timezone

from dateutil.relativedelta import relativedelta

FIRST, LAST = date(1970, 3, 1), date(2100, 12, 31)
MONTHLY = [date(1970, 1, day) for day in range(1, 32)]
YEARLY = [date(1972, 2, 29), date(1970, 12, 30)]
NOT_ZONES = {"Factory", "localtime"}


def dates(anchor, **step):
    every = (anchor + relativedelta(**{unit: n * count for unit, count in step.items()}) for n in range(-10, 1_600))
    return [day for day in every if FIRST <= day <= LAST]


def first_instant(day, zone):
    """The first instant, in seconds, at which the zone's clocks show the day or a later one."""
    midnight = datetime(day.year, day.month, day.day)
    instant = midnight.replace(tzinfo=zone).astimezone(timezone.utc)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight:
        return int(instant.timestamp())
    shows = lambda at: datetime.fromtimestamp(at, zone).replace(tzinfo=None) >= midnight
    before, after = int((instant - timedelta(days=2)).timestamp()), int(instant.timestamp())
    assert shows(after) and not shows(before), (day, zone)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if shows(middle) else (middle, after)
    return after


def line(name):
    zone, instants, crc = zoneinfo.ZoneInfo(name), {}, 0
    for anchor_dates in ALL:
        for day in anchor_dates:
            if day not in instants:
                instants[day] = b"%d\n" % (first_instant(day, zone) * 1_000)
        crc = zlib.crc32(b"".join(instants[day] for day in anchor_dates), crc)
    return f"{name} {crc:08x}"


ALL = [dates(anchor, months=1) for anchor in MONTHLY] + [dates(anchor, years=1) for anchor in YEARLY]

if __name__ == "__main__":
    year, number = importlib.metadata.version("tzdata").split(".")
    print(f"tzdata {year}{chr(ord('a') + int(number) - 1)}")
    with multiprocessing.Pool() as pool:
        for text in pool.imap(line, sorted(zoneinfo.available_timezones() - NOT_ZONES)):
            print(text)
