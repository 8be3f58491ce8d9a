"""Writes the models that every later version must load with the same numbers.

Run once, at the commit whose models are to be kept, and never again for that archive:
`KERAS_BACKEND=torch python tests/golden/make_golden.py tests/golden/v0_1_0.tar.xz`
"""

import pathlib
import sys
import tarfile
import tempfile

import keras
import numpy as np

from keras_avssan import AVSSAN
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.models import baselines

PROMPT_DIM = 4
SAMPLES = 8000
# Of large outputs every so many numbers are kept.
STRIDE = 41
TINY = {"dim": 8, "bridge_layers": 1, "num_heads": 2, "mlp_dim": 8}
BASELINES = {
    "SELDNet": {"filters": 4, "recurrent_dim": 4, "hidden_dim": 4},
    "GCCMLP": {"hidden_dim": 8},
    "FNSSL": {"hidden_dim": 4, "num_blocks": 1, "frequency_stride": 16},
    "MLPAVC": {"hidden_dim": 8},
    "AVMLP": {"hidden_dim": 8},
    "DGB": {"hidden_dim": 8, "latent_dim": 4, "condition_dim": 4, "seed": 0},
    "AVST": {"dim": 8, "mlp_dim": 8},
    "AVSELD": {
        "num_mels": 16,
        "filters": (4, 4, 4, 8),
        "visual_dim": 8,
        "num_layers": 1,
        "num_heads": 2,
        "ffn_dim": 8,
        "kernel_size": 3,
    },
    "CMAF": {"dim": 8, "ffn_dim": 8, "hidden_dim": 8},
}


def make_inputs():
    """Two scenes of half a second, with every kind of prompt that has no files."""
    rng = np.random.default_rng(0)
    source = rng.normal(size=(2, SAMPLES + 10))
    target = 0.1 * np.stack([source[:, 5:-5], source[:, :SAMPLES]], axis=-1)
    noise = 0.05 * rng.normal(size=target.shape)
    return {
        "audio": (target + noise).astype("float32"),
        "target": target.astype("float32"),
        "images": rng.uniform(size=(2, 16, 16, 3)).astype("float32"),
        "prompt_embedding": rng.normal(size=(2, PROMPT_DIM)).astype("float32"),
        "prompt_audio": (0.1 * rng.normal(size=(2, 4000))).astype("float32"),
        "azimuth": np.array([60.0, 120.0], "float32"),
        "interferer_azimuth": np.array([130.0, np.nan], "float32"),
    }


def make_models():
    """The models by name, each with weights that are neither zero nor one."""
    keras.utils.set_random_seed(0)
    models = {
        f"avssan_{name}": AVSSAN(
            configuration=name,
            image_encoder=ConvImageEncoder(PROMPT_DIM, (4,), (16, 16)),
            audio_encoder=LogMelEncoder(8, (4,), num_mels=16),
            **TINY,
        )
        for name in ("base", "paper")
    }
    for name, sizes in BASELINES.items():
        models[name.lower()] = getattr(baselines, name)(prompt_dim=PROMPT_DIM, **sizes)
    for model in models.values():
        rng = np.random.default_rng(1)
        model.set_weights(
            [0.9 * w + 0.05 * np.abs(rng.normal(size=w.shape)) for w in model.get_weights()]
        )
    return models


def prompts_of(model, inputs):
    """Inputs of each kind that a model takes, by name."""
    audio = {"audio": inputs["audio"]}
    if not model.backbone.visual_prompt:
        return {"audio": audio}
    kinds = {"prompt_embedding": {**audio, "prompt_embedding": inputs["prompt_embedding"]}}
    if model.backbone.image_encoder is not None:
        kinds["images"] = {**audio, "images": inputs["images"]}
        kinds["prompt_audio"] = {**audio, "prompt_audio": inputs["prompt_audio"]}
    return kinds


def answers(model, inputs):
    """Every output for every kind of prompt, by `kind/output`."""
    arrays = {}
    for kind, x in prompts_of(model, inputs).items():
        outputs = model.predict_on_batch(x)
        for path, value in keras.tree.flatten_with_path(outputs):
            value = np.asarray(value)
            key = "/".join([kind, *map(str, path)])
            arrays[key] = value.ravel()[::STRIDE] if value.size > 1000 else value
    return arrays


def scores(model, inputs):
    """Loss and metrics of the batch, by name."""
    x = next(iter(prompts_of(model, inputs).values()))
    labels = {name: inputs[name] for name in ("azimuth", "target", "interferer_azimuth")}
    result = model.test_on_batch(x, labels, return_dict=True)
    return {f"score/{name}": np.float32(value) for name, value in result.items()}


def main(archive):
    """Writes an archive of `inputs.npz` and, a model, `<name>/`, `<name>.keras`, `<name>.npz`."""
    if pathlib.Path(archive).exists():
        raise SystemExit(f"{archive} exists: an archive that tests hold on to is never rewritten")
    inputs = make_inputs()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        np.savez_compressed(path / "inputs.npz", **inputs)
        for name, model in make_models().items():
            model.save_to_preset(str(path / name))
            model.save(path / f"{name}.keras")
            np.savez_compressed(
                path / f"{name}.npz", **answers(model, inputs), **scores(model, inputs)
            )
        with tarfile.open(archive, "w:xz") as tar:
            tar.add(folder, arcname=".")


if __name__ == "__main__":
    main(sys.argv[1])
