"""Times a step of training: Keras on each backend and the same network in plain PyTorch.

Every row has a separate process, which prepares and warms up; then the rows take turns, one at a
time, in rounds, so that other load on the machine affects all equally, and are compared
with the first row of the same round. The tables of `docs/performance.md` come from

    taskset -c 0,1 python benchmarks/training.py --size quickstart --repeats 9 --json small.json
    taskset -c 0,1 python benchmarks/training.py --size paper --repeats 3 --json paper.json

A part is the loss alone (`forward`), the loss and its gradient (`gradient`), a full step on a
batch in memory (`step`), or a step with batches of the input pipeline (`input`).
`--count` counts operations and bytes of a step and compares them with the machine's limits.
On a GPU, `--row` names those of PyTorch and JAX, and `--mixed` computes in bfloat16.
"""

import argparse
import contextlib
import datetime
import importlib
import json
import os
import pathlib
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from machine import processor

SAMPLING_RATE = 16_000  # hertz
PROMPT_DIM = 512  # CLIP's
PARTS = ("forward", "gradient", "step", "input")
WARM_UPS = 3  # under PyTorch, Keras records a step before it repeats it
# Name of a row → backend of its process, and which of the workers below it runs.
ROWS = {
    "PyTorch, eager": ("torch", "Reference"),
    "PyTorch, compiled": ("torch", "CompiledReference"),
    "Keras, PyTorch": ("torch", "KerasTorch"),
    "Keras, PyTorch, eager": ("torch", "EagerKerasTorch"),
    "Keras, PyTorch, compiled": ("torch", "CompiledKerasTorch"),
    "Keras, JAX": ("jax", "KerasJAX"),
    "Keras, TensorFlow": ("tensorflow", "KerasTensorFlow"),
}
SIZES = {
    "paper": {"seconds": 10.0, "batch_size": 32, "dim": 64, "filters": [32, 64, 128]},
    "quickstart": {"seconds": 1.0, "batch_size": 32, "dim": 32, "filters": [8, 16, 32]},
}


def main():
    options = parse()
    if options.worker:
        serve(options)
    elif options.count:
        print(count_table(count(options)))
    else:
        results = measure(options)
        print(table(results))
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


# ---- The main process


def measure(options):
    """Lets the rows take turns; returns times by row, part and round."""
    with tempfile.TemporaryDirectory() as folder:
        workers = {}
        for name in options.row or ROWS:
            workers[name] = Worker(name, options, pathlib.Path(folder))
            print(f"{name}: {workers[name].state}", file=sys.stderr, flush=True)
        for number in range(options.repeats):
            for name, worker in workers.items():
                worker.run_round()
                print(f"round {number}, {name}: {worker.latest}", file=sys.stderr, flush=True)
        rows = {name: worker.stop() for name, worker in workers.items()}
    return {
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: getattr(options, name) for name in (*SIZES["paper"], "threads", "mixed")},
        "rows": rows,
    }


class Worker:
    """A process that times one row on request."""

    def __init__(self, name, options, folder):
        backend, self.kind = ROWS[name]
        self.parts = options.part
        self.log = folder / f"{self.kind}.log"
        self.times = {part: [] for part in self.parts}
        self.latest = {}
        arguments = {**vars(options), "worker": self.kind}
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["OMP_NUM_THREADS"] = str(options.threads)
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", json.dumps(arguments)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self.log, "w"),
            text=True,
        )
        self.state = self._answer()

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        code = self.process.wait()
        if code < 0:
            return {"error": f"ended by {signal.Signals(-code).name}"}  # out of memory, mostly
        lines = [line for line in self.log.read_text().splitlines() if line.strip()]
        return {"error": lines[-1] if lines else f"ended with {code}"}

    def ask(self, command):
        """Sends a command; returns the answer, or the error that the process ended with."""
        if "error" not in self.state:
            try:
                self.process.stdin.write(command + "\n")
                self.process.stdin.flush()
                self.state = self._answer()
            except BrokenPipeError:
                self.state = self._answer()
        return self.state

    def run_round(self):
        """Times every part once."""
        self.latest = {}
        for part in self.parts:
            answer = self.ask(part)
            if "error" in answer:
                self.latest = answer
                return
            self.times[part].append((answer["seconds"], answer["processor_seconds"]))
            self.latest[part] = round(answer["seconds"], 3)

    def stop(self):
        """Ends the process; returns times, memory and versions, or the error."""
        answer = self.ask("stop")
        with contextlib.suppress(BrokenPipeError):  # of what was to be sent to one that has ended
            self.process.stdin.close()
        self.process.wait()
        return answer if "error" in answer else {**answer, "times": self.times}


def table(results):
    """The figures in Markdown: medians, and ratios to the first row of the same round."""
    rows = results["rows"]
    parts = next((list(row["times"]) for row in rows.values() if "times" in row), [])
    lines = [
        "| Row | " + " | ".join(f"{part}" for part in parts) + " | Scenes per second | "
        "Speed, first row = 1 | Speed by processor time | Memory |",
        "|---|" + "---|" * (len(parts) + 4),
    ]
    whole = "step" if "step" in parts else parts[-1] if parts else None
    first = next((row["times"][whole] for row in rows.values() if "times" in row), None)
    for name, row in rows.items():
        if "error" in row:
            lines.append(f"| {name} | {row['error']} |" + " |" * (len(parts) + 3))
            continue
        medians = {part: _median(row["times"][part], 0) for part in parts}
        cells = [f"{medians[part]:.2f} s" for part in parts]
        cells.append(f"{results['batch_size'] / medians[whole]:.1f}")
        cells += [_ratios(first, row["times"][whole], clock) for clock in (0, 1)]
        cells.append(f"{row['memory'] / 2**30:.1f} GiB")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append(
        "\n{seconds:g} s, batches of {batch_size}, D = {dim}, filters {filters}; {date}, "
        "{machine}, {cores} cores, {threads} threads, load {load:.1f}, Python {python}.".format(
            **results
        )
    )
    return "\n".join(lines)


def _median(times, clock):
    return statistics.median(pair[clock] for pair in times)


def _ratios(first, own, clock):
    ratios = sorted(a[clock] / b[clock] for a, b in zip(first, own, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"


# ---- The workers


def serve(options):
    """Prepares one row, and times the parts named on standard input until it reads stop."""
    worker = globals()[options.worker](options)
    for part in options.part:
        for _ in range(WARM_UPS):
            getattr(worker, part)()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            answer = {"memory": worker.memory(), "versions": worker.versions()}
            print(json.dumps(answer), flush=True)
            return
        run = getattr(worker, line.strip())
        started, used = time.perf_counter(), time.process_time()
        run()
        answer = {"seconds": time.perf_counter() - started}
        answer["processor_seconds"] = time.process_time() - used
        print(json.dumps(answer), flush=True)


def make_batch(options):
    """One batch of noise: inputs and labels, NumPy arrays."""
    import numpy as np

    rng = np.random.default_rng(0)
    size, samples = options.batch_size, round(options.seconds * SAMPLING_RATE)
    audio = 0.1 * rng.standard_normal((size, samples, 2), "float32")
    prompts = rng.standard_normal((size, PROMPT_DIM), "float32")
    azimuths = rng.uniform(1, 180, (2, size)).astype("float32")
    inputs = {"audio": audio, "prompt_embedding": prompts}
    target = 0.5 * audio + 0.02 * rng.standard_normal(audio.shape, "float32")
    labels = {"azimuth": azimuths[0], "target": target, "interferer_azimuth": azimuths[1]}
    return inputs, labels


def make_batches(options):
    """Endless batches as the input pipeline makes them, rendered on the host by `--threads`."""
    import numpy as np
    from input_pipeline import make_bank

    from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset

    catalog = SyntheticClasses(instances_per_class=4, duration=options.seconds)
    bank = make_bank(argparse.Namespace(rooms=20, seed=0))
    plan = ScenePlan(catalog, bank, split=None, duration=options.seconds)
    embeddings = np.random.default_rng(0).standard_normal((len(catalog.pictures), PROMPT_DIM))
    return iter(
        make_dataset(
            plan,
            10**6,
            options.batch_size,
            loader="grain",
            prompt="embedding",
            prompt_embeddings=embeddings.astype("float32"),
            num_workers=options.threads,
        )
    )


class Row:
    """What all workers share: the batches."""

    def __init__(self, options):
        self.options = options
        self.batch = make_batch(options)
        self.batches = make_batches(options) if "input" in options.part else None

    def step(self):
        """A whole step with a batch that is there."""
        self.train(*self.batch)

    def input(self):
        """A whole step with the next batch of the input pipeline."""
        self.train(*next(self.batches))

    def memory(self):
        """Largest memory of the process, or of the GPU, in bytes."""
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def versions(self):
        """Versions of the packages that compute."""
        names = ("keras", "torch", "jax", "tensorflow")
        modules = [importlib.import_module(name) for name in names if name in sys.modules]
        return {module.__name__: module.__version__ for module in modules}


class TorchMemory:
    """Memory and device of PyTorch."""

    def limit(self):
        """Holds PyTorch to the threads; returns it and the name of its device."""
        import torch

        torch.set_num_threads(self.options.threads)
        return torch, "cuda" if torch.cuda.is_available() else "cpu"

    def memory(self):
        """Largest memory of the process, or of the GPU, in bytes."""
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
        return super().memory()


class Reference(TorchMemory, Row):
    """Plain PyTorch."""

    def __init__(self, options):
        super().__init__(options)
        self.torch, self.device = self.limit()
        import torch_reference
        from torch_reference.training import loss_of

        self.reference = torch_reference
        self.network = torch_reference.AVSSAN(
            PROMPT_DIM, options.dim, 4 * options.dim, options.filters
        )
        self.network.to(self.device).train()
        self.optimizer = torch_reference.make_optimizer(self.network)
        self.plain_loss = loss_of
        self.loss = self.make_loss()

    def make_loss(self):
        return self.autocast_loss

    def autocast_loss(self, network, batch):
        """The loss, in bfloat16 if requested."""
        with self.torch.autocast(
            self.device, self.torch.bfloat16, enabled=bool(self.options.mixed)
        ):
            return self.plain_loss(network, batch)

    def tensors(self, inputs, labels):
        """A batch on the device."""
        batch = {**inputs, **labels}
        return {
            name: self.torch.as_tensor(array).to(self.device, non_blocking=True)
            for name, array in batch.items()
        }

    def forward(self):
        """The loss alone."""
        with self.torch.no_grad():
            self.loss(self.network, self.tensors(*self.batch)).item()

    def gradient(self):
        """The loss and its gradient."""
        self.network.zero_grad()
        loss = self.loss(self.network, self.tensors(*self.batch))
        loss.backward()
        loss.item()

    def train(self, inputs, labels):
        """One step."""
        batch = self.tensors(inputs, labels)
        self.reference.training_step(self.network, self.optimizer, batch, self.loss).item()


class CompiledReference(Reference):
    """Plain PyTorch, compiled by TorchInductor."""

    def make_loss(self):
        return self.torch.compile(self.autocast_loss)


class KerasRow(Row):
    """Keras on any backend; subclasses say how gradients are taken."""

    jit_compile: bool | str = "auto"
    run_eagerly = False

    def __init__(self, options):
        super().__init__(options)
        self.prepare()
        import keras

        from keras_avssan import AVSSAN
        from keras_avssan.encoders import LogMelEncoder

        if options.mixed:
            keras.config.set_dtype_policy("mixed_bfloat16")
        self.model = AVSSAN(
            dim=options.dim,
            mlp_dim=4 * options.dim,
            prompt_dim=PROMPT_DIM,
            audio_encoder=LogMelEncoder(filters=options.filters),
        )
        self.model.compile(jit_compile=self.jit_compile, run_eagerly=self.run_eagerly)
        self.convert = keras.ops.convert_to_tensor
        self.tree_map = keras.tree.map_structure
        self.train(*self.batch)

    def prepare(self):
        """Holds the backend to the threads."""

    def tensors(self):
        """The batch that is there, on the device."""
        return self.tree_map(self.convert, self.batch)

    def compute_loss(self, inputs, labels):
        """Forward pass and loss."""
        outputs = self.model(inputs, training=True)
        return self.model.compute_loss(inputs, labels, outputs)

    def train(self, inputs, labels):
        """One step, as `fit` does it."""
        self.model.train_on_batch(inputs, labels)


class KerasTorch(TorchMemory, KerasRow):
    """Keras on PyTorch."""

    jit_compile = False

    def prepare(self):
        self.torch, _ = self.limit()

    def forward(self):
        """The loss alone."""
        with self.torch.no_grad():
            self.compute_loss(*self.tensors()).item()

    def gradient(self):
        """The loss and its gradient."""
        self.model.zero_grad()
        loss = self.compute_loss(*self.tensors())
        loss.backward()
        loss.item()


class EagerKerasTorch(KerasTorch):
    """Keras on PyTorch, whose layers run in Python in each step."""

    run_eagerly = True


class CompiledKerasTorch(KerasTorch):
    """Keras on PyTorch, whose recorded steps TorchInductor compiles; `forward` is not a step."""

    jit_compile = True


class KerasJAX(KerasRow):
    """Keras on JAX, compiled by XLA."""

    def prepare(self):
        import jax

        self.jax, self.functions = jax, {}

    def _stateless_loss(self, trainable, fixed, inputs, labels):
        losses = []
        pairs = [
            *zip(self.model.trainable_variables, trainable, strict=True),
            *zip(self.model.non_trainable_variables, fixed, strict=True),
        ]
        import keras

        with keras.StatelessScope(state_mapping=pairs):
            losses.append(self.compute_loss(inputs, labels))
        return losses[0]

    def _run(self, name, transform):
        if name not in self.functions:
            self.functions[name] = self.jax.jit(transform(self._stateless_loss))
        state = [
            [variable.value for variable in variables]
            for variables in (self.model.trainable_variables, self.model.non_trainable_variables)
        ]
        self.jax.block_until_ready(self.functions[name](*state, *self.tensors()))

    def forward(self):
        """The loss alone."""
        self._run("forward", lambda loss: loss)

    def gradient(self):
        """The loss and its gradient."""
        self._run("gradient", self.jax.value_and_grad)

    def memory(self):
        """Largest memory of the process, or of the GPU, in bytes."""
        statistics_ = self.jax.devices()[0].memory_stats() or {}
        return statistics_.get("peak_bytes_in_use") or super().memory()


class KerasTensorFlow(KerasRow):
    """Keras on TensorFlow."""

    def prepare(self):
        import tensorflow as tf

        self.tf = tf
        self.functions = {}
        self.hold_threads()

    def hold_threads(self):
        """Holds TensorFlow to the threads, which it allows before it has computed anything."""
        threading = self.tf.config.threading
        threading.set_intra_op_parallelism_threads(self.options.threads)
        threading.set_inter_op_parallelism_threads(self.options.threads)

    def _run(self, name, function):
        if name not in self.functions:
            compiled = self.model.jit_compile if hasattr(self, "model") else None
            self.functions[name] = self.tf.function(function, jit_compile=bool(compiled))
        self.tree_map(lambda tensor: tensor.numpy(), self.functions[name](*self.tensors()))

    def forward(self):
        """The loss alone."""
        self._run("forward", self.compute_loss)

    def _gradients(self, inputs, labels):
        with self.tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, labels)
        weights = [weight.value for weight in self.model.trainable_weights]
        return tape.gradient(loss, weights)

    def gradient(self):
        """The loss and its gradient."""
        self._run("gradient", self._gradients)


# ---- Operations and bytes


def count(options):
    """Operations and bytes of a step, and the machine's limits of both."""
    import torch
    from torch_reference.operations import Operations, machine_limits

    row = Reference(options)
    row.step()
    with Operations() as operations:
        row.step()
    dtype = torch.bfloat16 if options.mixed else torch.float32
    flops, size = machine_limits(row.device, dtype)
    started = time.perf_counter()
    row.step()
    return {
        "operations": operations,
        "flops_per_second": flops,
        "bytes_per_second": size,
        "seconds": time.perf_counter() - started,
    }


def count_table(counted):
    """Counts in Markdown, kernels with the most bytes first."""
    operations = counted["operations"]
    lines = ["| Kernel | Calls | GFLOP | GB in and out |", "|---|---|---|---|"]
    for name, calls, flops, size in operations.largest():
        lines.append(f"| {name} | {calls} | {flops / 1e9:.1f} | {size / 1e9:.2f} |")
    flops, size = counted["flops_per_second"], counted["bytes_per_second"]
    least = operations.least_seconds(flops, size)
    lines.append(
        f"\nAll kernels: {operations.flops / 1e9:.0f} GFLOP, {operations.bytes / 1e9:.1f} GB. "
        f"Matrix products: {flops / 1e9:.0f} GFLOP/s; copies: {size / 1e9:.1f} GB/s. At these "
        f"limits, products alone: {operations.flops / flops:.2f} s; kernel by kernel: "
        f"{least:.2f} s, of {counted['seconds']:.2f} s that a step took "
        f"({100 * least / counted['seconds']:.0f} %)."
    )
    return "\n".join(lines)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="paper")
    parser.add_argument(
        "--seconds", type=float, help="duration of a scene; the size's if not given"
    )
    parser.add_argument("--batch-size", type=int, help="likewise")
    parser.add_argument("--dim", type=int, help="likewise")
    parser.add_argument("--filters", type=int, nargs="+", help="of the audio encoder, likewise")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--row", action="append", choices=ROWS, help="only this row; repeatable")
    parser.add_argument("--part", action="append", choices=PARTS, help="likewise")
    parser.add_argument("--mixed", action="store_true", help="compute in bfloat16")
    parser.add_argument("--count", action="store_true", help="count operations and bytes instead")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return argparse.Namespace(**json.loads(options.worker))
    for name, value in SIZES[options.size].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.part = options.part or list(PARTS)
    return options


if __name__ == "__main__":
    main()
