"""The tables of `benchmarks/gpu.py`, in Markdown."""

GIGA, TERA = 1e9, 1e12
NAMES = {"torch": "PyTorch", "jax": "JAX"}


def table(results, plan):
    """A table a stage, with a row for each job of the plan; one that was not measured says why."""
    parts = []
    stages = dict.fromkeys(stage for stage, _ in plan)
    for stage in stages:
        heads, cells_of = _COLUMNS[stage]
        lines = [
            f"### {stage.capitalize()}\n",
            "| Backend | Row | " + " | ".join(heads) + " |",
            "|---" * (len(heads) + 2) + "|",
        ]
        for (own, backend), jobs in plan.items():
            if own != stage:
                continue
            for job in jobs:
                row = results["rows"].get(backend, {}).get(stage, {}).get(job["row"], {})
                cells = _cells(row, len(heads), cells_of)
                lines.append(f"| {NAMES[backend]} | {job['row']} | " + " | ".join(cells) + " |")
        if len(lines) == 3:
            lines = [lines[0], "Not measured: it needs `--data`."]
        parts.append("\n".join(lines))
    parts.append(_remark(results))
    return "\n\n".join(parts)


def _cells(row, count, cells_of):
    for reason in ("error", "stopped"):
        if reason in row and not row.get("new_steps"):
            return [row[reason].replace("|", "/"), *[""] * (count - 1)]
    if not row:
        return ["not measured: the time was used up, or there is no device", *[""] * (count - 1)]
    return cells_of(row)


def _environment(row):
    memory = f"{row['memory'] / 2**30:.0f} GiB" if row["memory"] else "–"
    versions = ", ".join(f"{name} {number}" for name, number in row["versions"].items())
    return [row["device"], memory, row["driver"], f"{row['build']}; {versions}"]


def _rooms(row):
    compiling = f", {row['compile_seconds']:.1f} s of them compiling" * bool(row["compile_seconds"])
    return [
        f"{row['rooms']:,} of {row['of']:,} in {row['seconds']:.1f} s{compiling}",
        f"{row['rooms_per_second']:.3g}",
        _duration(10_000 / row["rooms_per_second"]),
        f"{row['images_per_second']:.3g}",
        f"{row['bytes_per_second'] / GIGA:.3g} GB/s, "
        f"{row['operations_per_second'] / TERA:.3g} TFLOP/s",
        f"{row['warm_up_seconds']:.1f} s",
    ]


def _training(row):
    return [
        f"{1000 * row['step_seconds']:.1f} ms",
        f"{row['scenes_per_second']:.3g}",
        f"{row['peak_bytes'] / 2**30:.2f} GiB",
        f"{row['steps']}",
        f"{row['start_seconds']:.1f} s",
    ]


def _roofline(row):
    return [
        row["what"],
        f"{row['operations'] / GIGA:.4g} GFLOP, {row['bytes'] / GIGA:.3g} GB",
        f"{row['flops_per_second'] / TERA:.3g} TFLOP/s",
        f"{row['bytes_per_second'] / GIGA:.4g} GB/s",
        f"{1000 * row['least_seconds']:.3g} ms of {1000 * row['seconds']:.3g} ms",
        f"{100 * row['least_seconds'] / row['seconds']:.0f} %",
    ]


def _latency(row):
    return [
        f"{1000 * row['median_seconds']:.1f} ms",
        f"{1000 * row['fastest']:.1f} ms",
        f"{row['recordings_per_second']:.3g}",
        f"{row['real_time_factor']:.2g}",
    ]


def _preset(row):
    state = row.get("error") or row.get("stopped") or "finished"
    return [
        state.replace("|", "/"),
        f"{row['steps']:,}",
        f"{row['new_steps']:,} in {row['seconds']:.0f} s, start and scores included",
    ]


def _duration(seconds):
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


# Heads of a stage's table, and what makes the cells of a row.
_COLUMNS = {
    "environment": (("Device", "Memory", "Driver", "Versions"), _environment),
    "rooms": (
        ("Rooms", "Rooms/s", "10,000 rooms", "Images/s", "At the least", "Warm-up"),
        _rooms,
    ),
    "training": (("Step", "Scenes/s", "Peak memory", "Steps timed", "Start"), _training),
    "roofline": (("Of what", "Work", "Products", "Copies", "At the limits", "Share"), _roofline),
    "latency": (("Median", "Fastest", "Recordings/s", "Real-time factor"), _latency),
    "preset": (("State", "Steps", "Steps of the last run"), _preset),
}


def _remark(results):
    sizes, settings = results["sizes"], results["settings"]
    kind = "everything at a tiny size, " if settings["size"] == "tiny" else ""
    place = "on the CPU" if settings["cpu"] else "on the device"
    return (
        f"{results['date']}, commit `{results['commit']}`, {place}, {kind}{results['machine']}, "
        f"{results['cores']} cores. Rooms of {sizes['sources']} source(s) and two microphones; "
        f"training scenes of {sizes['seconds']:g} s, D = {sizes['dim']}, filters "
        f"{sizes['filters']}; steps are medians, with the copy of the batch. Peak memory is that "
        "of the allocator on a GPU, of the process on a CPU."
    )
