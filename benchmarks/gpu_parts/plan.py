"""The rows that `benchmarks/gpu.py` measures, and their sizes."""

STAGES = ("environment", "rooms", "training", "roofline", "latency", "preset")
BACKENDS = ("torch", "jax")
PRECISIONS = ("bfloat16", "float32")
SIZES = {
    "full": {
        **{"rooms": 10_000, "rooms_at_a_time": 64, "sources": 4, "smoke": False},
        **{"seconds": 10.0, "dim": 64, "filters": [32, 64, 128], "batches": [32, 64, 128, 256]},
        **{"plan_rooms": 20, "durations": [1.0, 4.0], "recordings": [1, 64], "row_seconds": 4.0},
    },
    "tiny": {
        **{"rooms": 4, "rooms_at_a_time": 2, "sources": 1, "smoke": True},
        **{"seconds": 0.5, "dim": 8, "filters": [4], "batches": [2, 4]},
        **{"plan_rooms": 2, "durations": [0.5], "recordings": [1, 2], "row_seconds": 0.2},
    },
}
# Scripts that train the packaged model, in their order, and their options at both sizes.
SCRIPTS = {
    "extractor": {
        "full": "--steps 1600 --epochs 64 --scenes 200",
        "tiny": "--steps 2 --epochs 1 --batch-size 2 --filters 4 --candidates 2 --rooms 2 "
        "--validation-rooms 2 --scenes 1",
    },
    "directions": {
        "full": "--steps 5000 --epochs 20 --scenes 300",
        "tiny": "--steps 4 --epochs 1 --batch-size 2 --filters 3 --rooms 2 --validation-rooms 2 "
        "--scenes 1",
    },
    "selection": {"full": "--start avssan_sounds50 --scenes-to-fit 300 --scenes 200"},
}


def plan(options):
    """The rows of all stages that were chosen: dict from (stage, backend) to a list of jobs."""
    size = SIZES[options.size]
    jobs = {}
    for backend in options.backends:
        for stage in options.stages:
            if stage == "preset":
                continue
            rows = globals()[f"_{stage}_rows"](backend, size)
            jobs[stage, backend] = [{"stage": stage, **row} for row in rows]
    if "preset" in options.stages:
        names = [name for name, sizes in SCRIPTS.items() if options.size in sizes]
        rows = [{"stage": "preset", "row": name} for name in names]
        jobs["preset", options.backends[0]] = rows if options.data else []
    return jobs


def _environment_rows(backend, size):
    return [{"row": "device"}]


def _rooms_rows(backend, size):
    many = f"{size['rooms_at_a_time']} at a time"
    return [
        {"row": f"images, {many}", "tail": False, "together": True},
        {"row": f"images to 20 dB and tail, {many}", "tail": True, "together": True},
        {"row": "images, one by one (`rooms build`)", "tail": False, "together": False},
    ]


def _training_rows(backend, size):
    """The most useful rows come first, those that take long to compile, or may fail, last."""
    few, most = size["batches"][0], size["batches"][-1]
    both = (few,) if size["smoke"] else (few, most)
    if backend == "jax":
        rows = [_step("Keras, XLA", "KerasJAX", p, few) for p in PRECISIONS]
        rows += [_step("Keras, XLA", "KerasJAX", "bfloat16", few, w) for w in ("device", "host")]
        larger = () if size["smoke"] else size["batches"][1:]  # compiling takes long on a CPU
        return rows + [
            _step("Keras, XLA", "KerasJAX", p, batch) for batch in larger for p in PRECISIONS
        ]
    rows = [_step("Keras", "KerasTorch", p, b) for b in size["batches"] for p in PRECISIONS]
    rows += [
        _step("Keras", "KerasTorch", "bfloat16", batch, where)
        for batch in both
        for where in ("device", "host")
    ]
    reference = [_step("PyTorch", "Reference", p, batch) for p in PRECISIONS for batch in both]
    if size["smoke"]:  # compiling takes minutes on a CPU
        return rows + reference
    compiled = (
        ("Keras, Inductor", "CompiledKerasTorch"),
        ("PyTorch, Inductor", "CompiledReference"),
    )
    return (
        rows
        + reference
        + [_step(name, kind, "bfloat16", batch) for batch in both for name, kind in compiled]
    )


def _step(name, kind, precision, batch, render=None):
    rendered = f", rendered on the {render}" if render else ""
    return {
        "row": f"{name}, {precision}, batch {batch}{rendered}",
        "kind": kind,
        "precision": precision,
        "batch": batch,
        "render": render,
    }


def _roofline_rows(backend, size):
    # Products of bfloat16 take minutes on a CPU that has no instructions for them.
    precisions = ("float32",) if size["smoke"] else PRECISIONS
    return [{"row": p, "precision": p, "batch": size["batches"][0]} for p in precisions]


def _latency_rows(backend, size):
    return [
        {"row": f"{seconds:g} s, batch {batch}", "seconds": seconds, "batch": batch}
        for seconds in size["durations"]
        for batch in size["recordings"]
    ]
