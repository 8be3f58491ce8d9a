"""Training a localiser on planned scenes."""

import keras

from keras_avssan.data.dataset import make_dataset
from keras_avssan.data.embeddings import (
    blank_prompts,
    embed_class_names,
    embed_pictures,
    takes_prompt,
)
from keras_avssan.training.schedules import warmup_cosine


def default_loader():
    """The loader that fits the backend: `"tf"` under TensorFlow, else `"grain"`."""
    return "tf" if keras.backend.backend() == "tensorflow" else "grain"


def fit_scenes(
    model,
    train_plan,
    *,
    steps,
    validation_plan=None,
    validation_scenes=256,
    batch_size=32,
    epochs=4,
    learning_rate=None,
    loader=None,
    render="host",
    prompt_embeddings=None,
    text_embeddings=None,
    make=None,
    **kwargs,
):
    """Trains a model on fresh scenes of a plan, each heard once.

    The model is compiled with its own optimizer under a warm-up and a cosine, and its own loss.
    Where the image encoder is frozen, every picture is embedded once before, and kept beside the
    data. What asks is for the plan to say: with `prompt_kinds=("picture", "recording")` one model
    learns both.

    Args:
        model: A `keras_avssan.models.Localizer`, such as `AVSSAN`.
        train_plan: `keras_avssan.data.ScenePlan` to train on.
        steps: Number of steps.
        validation_plan: Plan to validate on after every epoch.
        validation_scenes: Number of its scenes.
        batch_size: Scenes a step.
        epochs: Number of equal parts into which the steps are divided, for the log.
        learning_rate: Highest learning rate; the configuration's if not given.
        loader: `"tf"` or `"grain"`; the one that fits the backend if not given.
        render: `"host"` or `"device"`: where scenes are rendered, see `make_dataset`.
        prompt_embeddings: Dict from the id of every picture of the plans to its embedding, for
            models without an image encoder.
        text_embeddings: Dict from class to the embedding of its name, likewise, where the plans'
            `prompt_kinds` have `"text"`.
        make: Function that makes the datasets, called as `make_dataset` is, to take rendered
            scenes from somewhere else; `make_dataset` if not given.
        **kwargs: Further arguments of `fit`, such as `callbacks` and `verbose`.

    Returns:
        The `History` of `fit`.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> fit_scenes(model, ScenePlan(catalog, bank, split="train"), steps=1000)
    """
    if epochs < 1 or steps < epochs:
        raise ValueError(
            f"`epochs` must be from 1 to `steps`. Received: epochs={epochs}, steps={steps}"
        )
    steps_per_epoch = steps // epochs
    steps = steps_per_epoch * epochs
    optimizer = model.default_optimizer()
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    optimizer = type(optimizer).from_config(
        {
            **optimizer.get_config(),
            "learning_rate": warmup_cosine(learning_rate or rate, steps),
        }
    )
    model.compile(optimizer=optimizer, loss=model.loss if model.compiled else "auto")

    def dataset(plan, num_scenes):
        return (make or make_dataset)(
            plan,
            num_scenes,
            batch_size,
            loader=loader or default_loader(),
            render=render,
            **_prompts(model, plan, prompt_embeddings, text_embeddings),
        )

    validation = validation_plan and dataset(validation_plan, validation_scenes)
    return model.fit(
        dataset(train_plan, steps * batch_size),
        validation_data=validation,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        **kwargs,
    )


def _prompts(model, plan, pictures, texts):
    """How scenes are asked for, as arguments of `make_dataset`."""
    if not takes_prompt(model):
        return {"prompt": "embedding", "prompt_embeddings": blank_prompts(plan)}
    if pictures is None:
        encoder = model.backbone.image_encoder
        if encoder is None or encoder.trainable:
            return {"image_size": model.backbone.image_size}
        pictures = embed_pictures(model, plan)
    if "text" in plan.prompt_kinds and texts is None:
        texts = embed_class_names(model, plan)
    return {"prompt": "embedding", "prompt_embeddings": pictures, "text_embeddings": texts}
