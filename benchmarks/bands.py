r"""Follows the weights of bands and patches, α and β, through training, and ablates them.

    KERAS_BACKEND=jax python benchmarks/bands.py --data FOLDER --classes CLASS … \
        --image-encoder PRESET --forms published gain dropout --out bands

trains AV-SSAN once for each form of the attention (`FORMS`), each part that is left out (`PARTS`)
and each seed. Of the parts `fine-alone`, `mid-alone` and `full-alone` one type of bands has all the
weight, in training and after it. All are trained on the same scenes and scored on the same unseen
ones, at every SNR. `--agree` compares the trained networks in pairs: how often both select the
target, one alone, or neither, hence what a perfect choice between the two would reach.
`--ablate` evaluates the trained networks again with their weights overruled: α uniform, β uniform,
or one band left out. The command resumes an interrupted run.

The folder holds `bands.md`, the tables; `rows/NAME.json`, with α, β and gradients during training;
`models/NAME`, the trained networks.
"""

import argparse
import dataclasses
import functools

import keras
import numpy as np
from band_tables import agreement_table, score_table, trace_table
from prompt_options import expand_classes
from recipe import Comparison, add_comparison_options

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import read_json, write_json
from keras_avssan.training.fit_scenes import scene_dataset
from keras_avssan.training.patches import Overrides

# How α and β are computed and trained.
FORMS: dict[str, dict] = {
    "published": {},
    "scaled": {"scale_relevance": True},
    "gain": {"attention_gain": 0.0},
    "dropout": {"band_dropout": 0.3},
    "gain-dropout": {"attention_gain": 0.0, "band_dropout": 0.3},
}
# What is left out, by the columns of Table 4.
PARTS: dict[str, dict] = {
    "full": {},
    "MB": {"multi_band": False},
    "BA": {"band_attention": False},
    "Refiner": {"spatial_refiner": False},
    **dict.fromkeys(("fine-alone", "mid-alone", "full-alone"), {}),
}
# Steps of the training at which α and β are recorded.
_RECORDED = (0, 3, 10, 30, 60, 100, 200, 300, 600, 1000, 1500, 2000, 3000, 5000)
_WATCHED = 32  # unseen scenes on which they are, one batch of an evaluation
_HISTOGRAM = np.linspace(0.0, 1.0, 11)
_MOMENTUM = 0.9  # of AdamW, by default


class AttentionTrace(keras.callbacks.Callback):
    """Records α, β and the gradients of each band's branch at some steps of a training.

    Args:
        inputs: Dict of the inputs of some scenes.
        steps: Steps at which they are recorded.

    Attributes:
        records: List of a dict for each of these steps.
    """

    def __init__(self, inputs, steps=_RECORDED):
        super().__init__()
        self.inputs, self.steps, self.records, self.step = inputs, set(steps), [], 0

    def on_train_begin(self, logs=None):
        self._record()

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self._record()

    def _record(self):
        if self.step not in self.steps:
            return
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        outputs = self.model.predict_on_batch(self.inputs)
        bands = self.model.backbone.bands
        record = {"step": self.step, **attention_summary(outputs, bands)}
        if self.step:
            record["gradient"] = self._gradients(bands)
        self.records.append(record)
        alpha = ", ".join(f"{band} {value:.2f}" for band, value in record["alpha"].items())
        print(f"step {self.step}: α {alpha}; its entropy {record['alpha_entropy']:.2f}", flush=True)

    def _gradients(self, bands):
        """Norm of the gradient of each alignment, as the optimizer averages it over steps."""
        optimizer = self.model.optimizer
        power = dict.fromkeys(bands, 0.0)
        for variable, momentum in zip(
            optimizer._trainable_variables, optimizer._momentums, strict=True
        ):
            for band in bands:
                if f"alignment_{band}/" in variable.path:
                    power[band] += float(np.sum(np.square(keras.ops.convert_to_numpy(momentum))))
        bias = 1 - _MOMENTUM**self.step
        return {band: value**0.5 / bias for band, value in power.items()}


def attention_summary(outputs, bands):
    """Numbers on α and β of some scenes.

    Returns:
        Dict: `alpha`, the mean by band; `alpha_entropy`, from 0 for one band to 1 for equal
        weights; `alpha_histogram`, shares of frames by their greatest α; `alpha_spread`, the
        standard deviation of α over scenes and frames; `beta_entropy`, `beta_greatest` and
        `beta_spread`, over scenes, by band.
    """
    alpha = np.asarray(outputs["band_weights"], "float64")
    counts, _ = np.histogram(alpha.max(axis=-1), _HISTOGRAM)
    summary = {
        "alpha": dict(zip(bands, alpha.mean(axis=(0, 1)).tolist(), strict=True)),
        "alpha_entropy": _entropy(alpha),
        "alpha_histogram": (counts / counts.sum()).tolist(),
        "alpha_spread": float(alpha.std(axis=(0, 1)).max()),
    }
    betas = {band: np.asarray(outputs[f"band_attention_{band}"], "float64") for band in bands}
    betas = {band: beta for band, beta in betas.items() if beta.shape[-1] > 1}
    summary["beta_entropy"] = {band: _entropy(beta) for band, beta in betas.items()}
    summary["beta_greatest"] = {band: float(b.max(axis=-1).mean()) for band, b in betas.items()}
    summary["beta_spread"] = {band: float(b.std(axis=0).max()) for band, b in betas.items()}
    return summary


def _entropy(weights):
    """Mean entropy of weights over their last axis, divided by its greatest value."""
    count = weights.shape[-1]
    if count == 1:
        return 0.0
    entropy = -np.sum(weights * np.log(np.maximum(weights, 1e-30)), axis=-1)
    return float(entropy.mean() / np.log(count))


class BandComparison(Comparison):
    """Trains and scores the networks on the same scenes."""

    def _make(self, seed, changes):
        model = super()._make(seed, changes)
        if "alone" in changes:
            backbone = model.backbone
            kept = 1.0 * np.array([band == changes["alone"] for band in backbone.bands])
            weights = type(backbone.refiner)._weights
            _overrule_alpha(backbone.refiner, weights, kept, Overrides())
        return model

    def callbacks(self, model):
        data = scene_dataset(
            model, self.validation, _WATCHED, _WATCHED, prompt_embeddings=self.pictures
        )
        inputs, _ = next(iter(data))
        self.trace = AttentionTrace(keras.tree.map_structure(np.asarray, inputs))
        return [self.trace]

    def further(self, model):
        records = list(self.trace.records)
        if records[-1]["step"] != self.trace.step:
            outputs = model.predict_on_batch(self.trace.inputs)
            summary = attention_summary(outputs, model.backbone.bands)
            records.append({"step": self.trace.step, **summary})
        return {"trace": records, "further_snr": self.at_other_levels(model)}

    def at_other_levels(self, model):
        """Evaluations at the other SNRs."""
        return {
            f"{snr:g}": self._score(model, plan, self.settings.scenes).to_dict()
            for snr, plan in self.plans().items()
            if snr != self.validation.snr
        }

    def plans(self):
        """Validation scenes by SNR, which differ in their levels alone."""
        return {snr: dataclasses.replace(self.validation, snr=snr) for snr in self.options.snr}

    def ablated(self, name):
        """Evaluations of a trained network with its weights overruled, by row and SNR."""
        path = self.folder.path / "ablated" / f"{name}.json"
        results = read_json(path) if path.exists() else {}
        model = AVSSAN.from_preset(str(self.folder.model_path(name)))
        for row, overrule in ablations(model).items():
            if row in results:
                continue
            print(f"{name}, {row} …", flush=True)
            overrides = Overrides()
            overrule(overrides)
            model.make_predict_function(force=True)
            results[row] = {
                f"{snr:g}": self._score(model, plan, self.settings.scenes).to_dict()
                for snr, plan in self.plans().items()
            }
            overrides.undo()
            path.parent.mkdir(exist_ok=True)
            write_json(path, results, indent=None)
        return results


def ablations(model):
    """Functions that overrule α or β of a trained network, by the name of the row."""
    backbone = model.backbone
    count = len(backbone.bands)
    if count == 1:
        return {}
    weights = type(backbone.refiner)._weights
    kept = {"α uniform": np.ones(count)}
    for index, band in enumerate(backbone.bands):
        kept[f"{band} left out"] = 1.0 - np.eye(count)[index]
    rows = {}
    for row, mask in kept.items():
        rows[row] = functools.partial(_overrule_alpha, backbone.refiner, weights, mask)
    rows["β uniform"] = functools.partial(_overrule_beta, backbone.alignments)
    return rows


def _overrule_alpha(refiner, weights, kept, overrides):
    """α with some bands only, or uniform where all are kept."""
    uniform = bool(kept.all())

    def overruled(bands, training=None):
        alpha = weights(refiner, bands, training)
        alpha = keras.ops.ones_like(alpha) if uniform else alpha + 1e-12
        alpha = alpha * keras.ops.convert_to_tensor(kept.astype("float32"))
        return alpha / keras.ops.sum(alpha, axis=-1, keepdims=True)

    overrides.set(refiner, "_weights", overruled)


def _overrule_beta(alignments, overrides):
    """Equal weights of all patches."""

    def uniform(query, key):
        relevance = keras.ops.cast(query[:, 0, :, 0], "float32")
        return keras.ops.ones_like(relevance) / relevance.shape[-1]

    for alignment in alignments:
        overrides.set(alignment, "_band_weights", uniform)


def row_name(form, part, seed, rate=1.0):
    """Name of a row, such as `gain`, `gain-all-but-MB`, `gain-rate-3-seed-1`."""
    parts = [form]
    if part.endswith("-alone"):
        parts.append(part)
    elif part != "full":
        parts.append(f"all-but-{part}")
    if rate != 1.0:
        parts.append(f"rate-{rate:g}")
    if seed:
        parts.append(f"seed-{seed}")
    return "-".join(parts)


def main():
    options = _options()
    comparison = BandComparison(options)
    levels = [f"{snr:g}" for snr in options.snr]
    names, references = [], {}
    for seed in options.seeds:
        for form in options.forms:
            for part in options.parts:
                name = row_name(form, part, seed, options.rate)
                changes = {"network": {**FORMS[form], **PARTS[part]}, "seed": seed}
                if part.endswith("-alone"):
                    changes["alone"] = part.removesuffix("-alone")
                if options.rate != 1.0:
                    changes["rate"] = options.rate
                # Forms are compared with the published one, parts with the full network.
                full = row_name(form, "full", seed, options.rate)
                published = row_name("published", "full", seed, options.rate)
                references[name] = full if part != "full" else published
                names.append(name)
                print(f"{name}: {changes}", flush=True)
                comparison.row(name, changes)
                _write(options, comparison, names, references, levels)
    print(_write(options, comparison, names, references, levels))


def _write(options, comparison, names, references, levels):
    """Writes the tables of the finished rows; returns their text."""
    rows = {name: read_json(comparison.folder.row_path(name, 2)) for name in names}
    text = trace_table(rows) + "\n\n" + score_table(rows, levels, references)
    if options.agree:
        text += "\n\n" + agreement_table(rows, levels)
    for name in names if options.ablate else ():
        if "alone" in rows[name]["changes"]:
            continue
        results = comparison.ablated(name)
        if results:
            text += "\n\n" + score_table(_beside(rows[name], name, results), levels)
    (comparison.folder.path / "bands.md").write_text(text + "\n")
    return text


def _beside(row, name, results):
    """Rows of a trained network and of the same with its weights overruled."""
    return {name: row, **{key: {"further_snr": value} for key, value in results.items()}}


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_comparison_options(parser, steps=1500)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["full"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rate")
    parser.add_argument("--snr", nargs="+", type=float, default=[0.0, -10.0], help="0 among them")
    parser.add_argument("--ablate", action="store_true", help="see above")
    parser.add_argument("--agree", action="store_true", help="see above")
    options = expand_classes(parser.parse_args())
    if 0.0 not in options.snr:
        parser.error("--snr must have 0 among its values, the SNR of the training")
    return options


if __name__ == "__main__":
    main()
