"""What `benchmarks/gpu.py` has measured: a JSON file, written with every row."""

import datetime
import json
import os
import pathlib
import subprocess
import sys

from machine import processor

from gpu_parts.plan import SIZES
from gpu_parts.worker import ROOT


class Results:
    """The rows of all stages, those of earlier runs with the same file and settings included."""

    def __init__(self, options):
        self._path, self._retry, self._cpu = pathlib.Path(options.out), options.retry, options.cpu
        settings = {"size": options.size, "cpu": options.cpu}
        if not self._path.exists():
            self.content = {**_head(options), "settings": settings, "rows": {}}
            return
        self.content = json.loads(self._path.read_text())
        if self.content["settings"] != settings:
            raise SystemExit(
                f"{self._path} holds figures of other settings, {self.content['settings']}; these "
                f"are {settings}. Name another file with --out."
            )
        for stages in self.content["rows"].values():
            stages.pop("environment", None)  # which is read in every run

    def rows(self, backend, stage):
        """The rows of a stage, by name."""
        return self.content["rows"].get(backend, {}).get(stage, {})

    def is_missing(self, backend, job):
        """Whether a row is to be measured: none is there, or one whose process was ended."""
        row = self.rows(backend, job["stage"]).get(job["row"])
        return row is None or "stopped" in row or (self._retry and "error" in row)

    def failed_before(self, backend, job):
        """Why a row cannot work: the same with a smaller batch did not."""
        if job["stage"] != "training":
            return None
        for row in self.rows(backend, "training").values():
            keys = ("kind", "precision", "render")
            alike = all(row["job"][key] == job[key] for key in keys)
            if alike and "error" in row and row["job"]["batch"] < job["batch"]:
                return f"not run, since a batch of {row['job']['batch']} failed"
        return None

    def no_device(self, backend):
        """Why a backend is not measured, or `None`."""
        found = self.rows(backend, "environment").get("device")
        if found is None:
            return "its environment was not read in time"
        for key in ("error", "stopped"):
            if key in found:
                return found[key]
        if not found["is_gpu"] and not self._cpu:
            return f"it computes on {found['computes_on']} and sees no GPU ({found['build']})"
        return None

    def keep(self, backend, job, answer):
        """Adds a row, and writes all of them atomically."""
        rows = self.content["rows"].setdefault(backend, {}).setdefault(job["stage"], {})
        rows[job["row"]] = {**answer, "job": {k: v for k, v in job.items() if k != "stage"}}
        part = self._path.with_name(f"{self._path.name}.part")
        part.write_text(json.dumps(self.content, indent=2) + "\n")
        os.replace(part, self._path)
        print(f"{backend}, {job['stage']}, {job['row']}: {answer}", file=sys.stderr, flush=True)


def _head(options):
    return {
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "sizes": SIZES[options.size],
    }


def _commit():
    """The commit that is checked out, if this is a clone."""
    command = ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:  # no git
        return None
    return done.stdout.strip() or None
