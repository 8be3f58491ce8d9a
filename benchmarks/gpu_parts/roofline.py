"""A step beside what the device can do, for `benchmarks/gpu.py`."""

from gpu_parts.steps import make_row, row_options, timed


def measure_roofline(job):
    """Operations and bytes of a step, and what the device needs for them at its own limits."""
    import keras

    return _torch_roofline(job) if keras.config.backend() == "torch" else _jax_roofline(job)


def _torch_roofline(job):
    """Of a step of plain PyTorch, kernel by kernel."""
    import training

    counted = training.count(row_options(job))
    operations = counted.pop("operations")
    limits = counted["flops_per_second"], counted["bytes_per_second"]
    return {
        **counted,
        "what": "a step of plain PyTorch, kernel by kernel",
        "operations": operations.flops,
        "bytes": operations.bytes,
        "least_seconds": operations.least_seconds(*limits),
    }


def _jax_roofline(job):
    """Of the loss and its gradient, as XLA counts what it has compiled."""
    import jax

    row = make_row({**job, "kind": "KerasJAX"})
    seconds = min(timed(row.gradient, min(job["time"], job["size"]["row_seconds"])))
    weights = (row.model.trainable_variables, row.model.non_trainable_variables)
    state = [[variable.value for variable in variables] for variables in weights]
    lowered = row.functions["gradient"].lower(*state, *row.tensors())
    # A compiled program for a GPU calls libraries, whose operations are not counted there.
    compiled = lowered.compile()
    operations = max(_costs(lowered, "flops"), _costs(compiled, "flops"))
    moved = _costs(compiled, "bytes accessed")
    dtype = jax.numpy.dtype(job["precision"])
    flops, size = _jax_limits(jax, dtype)
    return {
        "what": "loss and gradient under JAX, as XLA counts them",
        "operations": operations,
        "bytes": moved,
        "flops_per_second": flops,
        "bytes_per_second": size,
        "least_seconds": max(operations / flops, moved / size),
        "seconds": seconds,
    }


def _costs(program, name):
    """A count of XLA's of a lowered or compiled program; 0 if it does not count there."""
    costs = program.cost_analysis() or {}
    return (costs[0] if isinstance(costs, list) else costs).get(name, 0.0)


def _jax_limits(jax, dtype):
    """Operations of products and bytes of copies a second, as `machine_limits` of PyTorch."""
    on_gpu = jax.devices()[0].platform == "gpu"
    side, length = (8192, 2**28) if on_gpu else (2048, 2**25)
    left, right = (
        jax.random.normal(jax.random.key(seed), (side, side), dtype=dtype) for seed in range(2)
    )
    source = jax.numpy.zeros(length, "float32")
    product = jax.jit(lambda a, b: a @ b)
    copy = jax.jit(lambda array: array + 1)  # a copy alone would be left out
    runs = (lambda: product(left, right)), (lambda: copy(source))
    fastest = [min(timed(lambda run=run: jax.block_until_ready(run()), 0.0)) for run in runs]
    return 2 * side**3 / fastest[0], 2 * 4 * length / fastest[1]
