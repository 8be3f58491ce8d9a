r"""Reckons the paper's full job, and many times that: storage, cores, hours on GPUs, network.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/scale.py --json scale.json
    KERAS_BACKEND=torch python benchmarks/scale.py --pieces scale.json --gpu gpu.json --gpus 8

The pieces are measured here in CPU time of one thread, on small samples: a room of the bank, a
scene rendered on the host and the host's part of one rendered on a device, a training step, and the
decoding of a generated video. Bytes are those of the files or arrays; operations and bytes of a
step are counted kernel by kernel in plain PyTorch. `--pieces` reads them from an earlier run.

`--gpu` reads the speed of a GPU from the file of `benchmarks/gpu.py`. Without it, a step is assumed
to take its operations or its bytes, whichever takes longer, at the limits of the card (`--tflops`,
`--bandwidth`), divided by a utilisation between the two values of `--utilisation`. What the table
calls assumed is an option, with this default; that of CLIP is a figure of docs/vggsound-ssl.md.
"""

import argparse
import json
import pathlib

CLIPS, ROOMS, STEPS, BATCH = 13_981, 10_000, 140_000, 32  # of the paper
GIGA, TERA, HOUR = 1e9, 1e12, 3600.0
SAMPLING_RATE = 16_000  # hertz
CLIP_SECONDS = 10.0
# Where a figure is from.
MEASURED, SIZE, ASSUMED, ABOVE = "measured", "size of the format", "assumed", "from above"


def main():
    options = _options()
    pieces = json.loads(pathlib.Path(options.pieces).read_text()) if options.pieces else None
    if pieces is None:
        from scale_pieces import measure

        pieces = measure(options)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(pieces, indent=2) + "\n")
    speeds = gpu_speeds(pieces, options)
    print(pieces_table(pieces, speeds, options))
    print()
    print(table(Job(pieces, speeds, options)))


# ---- The device


def gpu_speeds(pieces, options):
    """Scenes and rooms per second of one GPU, lowest first, and where from; `[]` if unknown.

    `train` is with scenes at hand, `render` with dry ones.
    """
    if options.gpu:
        return _measured_speeds(options.gpu)
    limits = options.tflops * TERA, options.bandwidth * GIGA
    kinds = ("operations", "bytes")
    step = [pieces[f"step_{kind}"] for kind in kinds]
    render = [pieces[f"render_{kind}"] for kind in kinds]
    speeds = {"source": "assumed", "train": [], "render": [], "rooms": []}
    for name, parts in (("train", (step,)), ("render", (step, render))):
        if None not in parts[-1]:
            seconds = sum(
                max(amount / limit for amount, limit in zip(part, limits, strict=True))
                for part in parts
            )
            speeds[name] = sorted(share / seconds for share in options.utilisation)
    return speeds


def _measured_speeds(path):
    """Speeds of the fastest rows of `benchmarks/gpu.py`."""
    rows = json.loads(pathlib.Path(path).read_text())["rows"]
    found = {"train": {}, "render": {}, "rooms": {}}
    for backend, stages in rows.items():
        for name, row in stages.get("training", {}).items():
            # Plain PyTorch is another program, and the host of that machine is not this one's.
            render = row["job"]["render"]
            if "scenes_per_second" in row and render != "host" and name.startswith("Keras"):
                kind = "render" if render else "train"
                found[kind][f"{backend}, {name}"] = row["scenes_per_second"]
        for name, row in stages.get("rooms", {}).items():
            if "rooms_per_second" in row and not row["job"]["tail"]:  # another simulation
                found["rooms"][f"{backend}, {name}"] = row["rooms_per_second"]
    if not found["train"]:
        raise SystemExit(f"{path} has no training row with figures: run benchmarks/gpu.py again")
    best = {kind: max(speeds, key=speeds.get) for kind, speeds in found.items() if speeds}
    return {
        "source": "measured: " + "; ".join(best.values()),
        **{kind: [found[kind][best[kind]]] if kind in best else [] for kind in found},
    }


# ---- The job


class Job:
    """The rows of the table: group, what, per unit, where from, and a text for each factor."""

    def __init__(self, pieces, speeds, options):
        self.pieces, self.speeds, self.options = pieces, speeds, options
        self.scenes = STEPS * BATCH
        self.rows = []
        self.video, self.picture, self.videos = (
            options.video_seconds,
            options.picture_bytes,
            ASSUMED,
        )
        if pieces["video_seconds"]:
            self.video, self.picture = pieces["video_seconds"], pieces["picture_bytes"]
            self.videos = "generated videos"
        self._storage()
        self._cores()
        self._gpus()
        self._network()

    def _add(self, group, what, unit, kind, amount, *values):
        """A row whose amounts grow with the job; of several values, from the first to the last."""
        texts = [
            _range([amount(factor * value) for value in values]) for factor in self.options.times
        ]
        self.rows.append((group, what, unit, kind, texts))

    def _storage(self):
        pieces = self.pieces
        sound = 2 * SAMPLING_RATE * CLIP_SECONDS
        dry, rendered = pieces["dry_bytes"], pieces["rendered_bytes"]
        for what, size, count, noun, kind in (
            ("sounds, 16 bits before FLAC", sound, CLIPS, "clip", SIZE),
            ("pictures", self.picture, CLIPS, "clip", self.videos),
            ("bank of rooms", pieces["room_bytes"], ROOMS, "room", MEASURED),
            ("scenes, dry, if written", dry, self.scenes, "scene", MEASURED),
            ("scenes, rendered, if written", rendered, self.scenes, "scene", MEASURED),
        ):
            self._add("Storage", what, f"{_bytes(size)} a {noun}", kind, _bytes, size * count)
        self.shared = (sound + self.picture) * CLIPS + pieces["room_bytes"] * ROOMS

    def _cores(self):
        pieces, options = self.pieces, self.options
        for what, seconds, count, noun, kind in (
            ("decode videos, eight frames", self.video, CLIPS, "clip", self.videos),
            ("choose pictures with CLIP", options.clip_seconds, CLIPS, "clip", ASSUMED),
            ("simulate rooms", pieces["room_seconds"], ROOMS, "room", MEASURED),
            ("render scenes", pieces["rendered_seconds"], self.scenes, "scene", MEASURED),
            ("or prepare them for a GPU", pieces["dry_seconds"], self.scenes, "scene", MEASURED),
            ("train without a GPU", pieces["step_seconds"], self.scenes, "scene", MEASURED),
        ):
            unit = f"{_seconds(seconds)} a {noun}"
            self._add("One core", what, unit, kind, _hours, seconds * count)
        seconds = (self.video + options.clip_seconds) * CLIPS + pieces["room_seconds"] * ROOMS
        name = f"{options.cores} cores"
        self._add(name, "clips and rooms", "divided evenly", ABOVE, _hours, seconds / options.cores)

    def _gpus(self):
        speeds, gpus = self.speeds, self.options.gpus
        kind = speeds["source"].partition(":")[0]
        for what, name, count, noun in (
            ("train, scenes at hand", "train", self.scenes, "scenes"),
            ("train, dry scenes rendered there", "render", self.scenes, "scenes"),
            ("simulate rooms", "rooms", ROOMS, "rooms"),
        ):
            if speeds[name]:
                unit = f"{_range([f'{speed:,.0f}' for speed in speeds[name]])} {noun}/s"
                hours = [count / speed for speed in speeds[name]]
                self._add("One GPU", what, unit, kind, _hours, *hours)
        hours = [self.scenes / speed / gpus for speed in speeds["render"] or speeds["train"]]
        self._add(f"{gpus} GPUs", "train", "divided evenly", ABOVE, _hours, *hours)

    def _network(self):
        pieces, gpus = self.pieces, self.options.gpus
        for done, name, where in (("rendered", "rendered", "train"), ("prepared", "dry", "render")):
            for what, unit, amount in (
                (f"cores, where scenes are {done}", "seconds", "{:.2g}".format),
                (f"network, where {name} scenes come from elsewhere", "bytes", _rate),
            ):
                texts = [amount(speed * pieces[f"{name}_{unit}"]) for speed in self.speeds[where]]
                if texts:
                    same = [_range(texts)] * len(self.options.times)
                    self.rows.append(("To keep one GPU busy", what, "", ABOVE, same))
        # In a ring each of n GPUs sends and receives the gradient 2 (n - 1) / n times.
        size = 4 * pieces["weights"] * 2 * (gpus - 1) / gpus
        unit = f"{_bytes(size)} a step"
        what = f"gradients of each of {gpus} GPUs"
        self._add("Network", what, unit, SIZE, _bytes, size * STEPS)
        what = "clips and bank, to each machine"
        self._add("Network", what, "once", ABOVE, _bytes, self.shared)


def table(job):
    """The job in Markdown."""
    options = job.options
    heads = " | ".join(f"× {factor:,g}" for factor in options.times)
    lines = [
        f"| | Piece | Per unit | From | {heads} |",
        "|---" * (4 + len(options.times)) + "|",
    ]
    before = None
    for group, what, unit, kind, texts in job.rows:
        name = f"**{group}**" if group != before else ""
        lines.append(f"| {name} | {what} | {unit} | {kind} | " + " | ".join(texts) + " |")
        before = group
    lines.append(
        f"\n× 1 is the paper's job: {CLIPS:,} clips of 10 s, {ROOMS:,} rooms of "
        f"{job.pieces['sources']} sources, {STEPS:,} steps of {BATCH} scenes. Larger jobs have as "
        "many times the clips, rooms and steps."
    )
    return "\n".join(lines)


def pieces_table(pieces, speeds, options):
    """What was measured, and what is assumed, as a paragraph."""
    assumed = f"CLIP {options.clip_seconds:g} s of a core a clip"
    if pieces["video_seconds"] is None:
        assumed += f", decoding {options.video_seconds:g} s, pictures {options.picture_bytes:,} B"
    if speeds["source"] == "assumed":
        assumed += (
            f", a GPU of {options.tflops:g} TFLOP/s and {options.bandwidth:g} GB/s at "
            f"{_range([f'{100 * share:g}' for share in options.utilisation])} % of these limits"
        )
    return (
        f"Measured: {pieces['date']}, {pieces['machine']}, {pieces['cores']} cores, load "
        f"{pieces['load']:.1f}, Keras on {pieces['backend']}, scenes of {pieces['seconds']:g} s, "
        f"seed {pieces['seed']}; a room takes {pieces['room_seconds']:.2g} ± "
        f"{pieces['room_seconds_error']:.1g} s (standard error), a step of a scene "
        f"{pieces['step_operations'] / GIGA:.3g} GFLOP and {pieces['step_bytes'] / GIGA:.2g} GB in "
        f"all kernels, and the network has {pieces['weights']:,} weights. GPU: {speeds['source']}. "
        f"Assumed: {assumed}."
    )


def _range(texts):
    """One text, or from the first to the last of them."""
    texts = list(dict.fromkeys(texts))
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def _bytes(size):
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB" if size < 1000 else f"{size / 1000:.3g} PB"


def _rate(size):
    return f"{_bytes(size)}/s"


def _seconds(seconds):
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _hours(seconds):
    hours = seconds / HOUR
    if hours < 1:
        return f"{60 * hours:.2g} min"
    return f"{hours:.2g} h" if hours < 100 else f"{hours:,.0f} h"


def _options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=float, nargs="+", default=[1.0, 100.0])
    parser.add_argument("--gpu", help="JSON file of benchmarks/gpu.py")
    parser.add_argument("--pieces", help="JSON file of an earlier run, in place of measuring")
    parser.add_argument("--json", help="file for the pieces")
    parser.add_argument("--gpus", type=int, default=2, help="that train; the paper's two")
    parser.add_argument("--cores", type=int, default=64, help="that decode and simulate")
    assumed = parser.add_argument_group("assumptions")
    assumed.add_argument("--tflops", type=float, default=67.0, help="of products on a GPU")
    assumed.add_argument("--bandwidth", type=float, default=3350.0, help="of its memory, GB/s")
    assumed.add_argument(
        "--utilisation", type=float, nargs="+", default=[0.1, 0.5], help="share of these limits"
    )
    assumed.add_argument("--clip-seconds", type=float, default=0.975, help="of CLIP, a clip")
    assumed.add_argument("--video-seconds", type=float, default=0.152, help="without PyAV")
    assumed.add_argument("--picture-bytes", type=int, default=30_000, help="without PyAV")
    samples = parser.add_argument_group("samples")
    samples.add_argument("--rooms", type=int, default=60)
    samples.add_argument("--sources", type=int, default=4, help="in each room")
    samples.add_argument("--t60", type=float, nargs=2, default=(0.2, 0.8), help="seconds")
    samples.add_argument("--scenes", type=int, default=64)
    samples.add_argument("--seconds", type=float, default=10.0, help="of a scene")
    samples.add_argument("--batch-size", type=int, default=4, help="of a step")
    samples.add_argument("--dim", type=int, default=64)
    samples.add_argument("--filters", type=int, nargs="+", default=[32, 64, 128])
    samples.add_argument("--repeats", type=int, default=3, help="steps that are timed")
    samples.add_argument("--videos", type=int, default=8)
    samples.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
