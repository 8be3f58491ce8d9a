"""Training a localiser on planned scenes: the recipe behind the command line."""

import keras

from keras_avssan.data.dataset import make_dataset
from keras_avssan.data.embeddings import embed_class_names, embed_pictures


def warmup_cosine(learning_rate, steps, warmup_share=0.05):
    """Learning rate that rises linearly, then falls to zero along a cosine.

    Args:
        learning_rate: Highest learning rate.
        steps: Number of training steps in all.
        warmup_share: Share of the steps that the rise takes.

    Returns:
        A Keras learning rate schedule.

    Raises:
        ValueError: If `steps` is less than 2 or `learning_rate` is not positive.
    """
    if steps < 2:
        raise ValueError(f"`steps` must be at least 2. Received: steps={steps}")
    if not learning_rate > 0:
        raise ValueError(
            f"`learning_rate` must be positive. Received: learning_rate={learning_rate}"
        )
    warmup = max(1, round(warmup_share * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=1e-3 * learning_rate,
        decay_steps=steps - warmup,
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )


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
    **kwargs,
):
    """Trains a model on fresh scenes of a plan, each heard once.

    The model is compiled with AdamW under a warm-up and a cosine, and its own loss. Where the
    image encoder is frozen, every picture is embedded once before, and kept beside the data. What
    asks is for the plan to say: with `prompt_kinds=("picture", "recording")` one model learns both.

    Args:
        model: An `AVSSAN`.
        train_plan: `keras_avssan.data.ScenePlan` to train on.
        steps: Number of steps.
        validation_plan: Plan to validate on after every epoch.
        validation_scenes: Number of its scenes.
        batch_size: Scenes a step.
        epochs: Number of equal parts into which the steps are divided, for the log.
        learning_rate: Highest learning rate; the configuration's if not given.
        loader: `"tf"` or `"grain"`; the one that fits the backend if not given.
        render: `"host"` or `"device"`: where scenes are rendered, see `make_dataset`.
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
    encoder = model.backbone.image_encoder
    frozen = encoder is not None and not encoder.trainable

    def dataset(plan, num_scenes):
        if frozen:
            prompts = {"prompt": "embedding", "prompt_embeddings": embed_pictures(model, plan)}
            if "text" in plan.prompt_kinds:
                prompts["text_embeddings"] = embed_class_names(model, plan)
        else:
            prompts = {"image_size": model.backbone.image_size}
        return make_dataset(
            plan,
            num_scenes,
            batch_size,
            loader=loader or default_loader(),
            render=render,
            **prompts,
        )

    validation = validation_plan and dataset(validation_plan, validation_scenes)
    return model.fit(
        dataset(train_plan, steps * batch_size),
        validation_data=validation,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        **kwargs,
    )
