"""`fit`, `evaluate` and `predict` as `keras.Model` has them, in place of KerasHub's."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import grain
import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.types import Tensor
from keras_avssan.models.fitting.dataset_scenes import match_dataset
from keras_avssan.models.fitting.labels import check_azimuths
from keras_avssan.models.fitting.task_mixin import TaskMixin

# Batches that Grain reads ahead, and threads that do so. Grain's default of 500 batches would be
# rendered needlessly before each validation, and after the last step.
_READ_AHEAD = 8
# Length that Grain reports of a dataset without an end.
_ENDLESS = sys.maxsize


class KerasTraining(TaskMixin):
    """Restores the methods of `keras.Model` that `keras_hub.models.Task` replaces.

    `keras_hub.models.Task` makes a dataset of all data that it is given, for its preprocessor:
    arrays come in the same order in every epoch then, and it refuses everything except arrays and
    datasets of `tf.data` or Grain. Datasets of localisers come in the model's form already, so
    Keras's own methods apply.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: ArrayLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> keras.callbacks.History:
        """Trains the model for a fixed number of epochs, as `keras.Model.fit` does.

        Args:
            x: Inputs, a dict of arrays whose first axis is the batch; or a dataset of `(inputs,
                labels)` or `(inputs, labels, sample weights)`: of `tf.data` or Grain, such as
                `keras_avssan.data.make_dataset` makes, a `torch.utils.data.DataLoader`, a
                `keras.utils.PyDataset` or a generator.
            y: Labels where `x` holds arrays, see the class.
            batch_size: Scenes per step where `x` holds arrays; 32 if not given.
            epochs: Number of the last epoch.
            verbose: `"auto"`, 0, 1 or 2.
            callbacks: List of `keras.callbacks.Callback`.
            validation_split: Share of the arrays, from their end, to validate on.
            validation_data: Tuple of inputs, labels and, optionally, sample weights; or a dataset.
            shuffle: Whether arrays and finite `PyDataset`s are shuffled each epoch; other datasets
                keep their order.
            class_weight: Dict from class to weight, where labels are an array of whole numbers.
            sample_weight: Weight of each scene in the loss and in `weighted_metrics`, an array.
            initial_epoch: Number of epochs that were trained before.
            steps_per_epoch: Batches an epoch; all if not given.
            validation_steps: Batches of a validation; all if not given.
            validation_batch_size: Scenes per step of a validation on arrays.
            validation_freq: Epochs from one validation to the next.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If the labels lack what the loss and the metrics need, or azimuths in
                arrays are not from 0 to 180 degrees.

        Example:
            >>> history = model.fit(inputs, labels, batch_size=16, epochs=10, validation_split=0.1)
        """
        check_azimuths(y)
        if isinstance(validation_data, list | tuple) and len(validation_data) > 1:
            check_azimuths(validation_data[1])
        x, steps_per_epoch = _counted(x, steps_per_epoch, epochs)
        validation_data, validation_steps = _counted(validation_data, validation_steps)
        return keras.Model.fit(
            self,
            x=x,
            y=y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            # Keras warns each time that it does not shuffle a dataset.
            shuffle=shuffle if _can_be_shuffled(x) else False,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: ArrayLike | None = None,
        steps: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Computes the loss and the scores, as `keras.Model.evaluate` does.

        Args:
            x: Inputs or a dataset, see `fit`.
            y: Labels where `x` holds arrays.
            batch_size: Scenes per step where `x` holds arrays; 32 if not given.
            verbose: `"auto"`, 0, 1 or 2.
            sample_weight: Weight of each scene in the loss and in `weighted_metrics`, an array.
            steps: Number of batches; all if not given.
            callbacks: List of `keras.callbacks.Callback`.
            return_dict: Whether the scores are returned as a dict from name to value.
            **kwargs: Arguments that `fit` passes to its validation.

        Returns:
            List of loss and scores, or a dict of them.

        Example:
            >>> scores = model.evaluate(dataset, return_dict=True)
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # `fit` has counted them
            check_azimuths(y)
            x, steps = _counted(x, steps)
        return keras.Model.evaluate(
            self,
            x=x,
            y=y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
            return_dict=return_dict,
            **kwargs,
        )

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
    ) -> dict[str, np.ndarray]:
        """Computes the outputs for many scenes, as `keras.Model.predict` does.

        Args:
            x: Inputs or a dataset, see `fit`; labels and weights of a dataset are ignored.
            batch_size: Scenes per step where `x` holds arrays; 32 if not given.
            verbose: `"auto"`, 0, 1 or 2.
            steps: Number of batches; all if not given.
            callbacks: List of `keras.callbacks.Callback`.

        Returns:
            Dict of NumPy arrays, see the call of the model.

        Raises:
            ValueError: If a dataset of planned scenes has another microphone spacing or sampling
                rate than the model; the message names both.

        Example:
            >>> posterior = model.predict(inputs, batch_size=16)["doa"]
        """
        match_dataset(self, x)
        x, steps = _counted(x, steps)
        return keras.Model.predict(
            self, x=x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks
        )

    def train_on_batch(
        self,
        x: Mapping[str, Tensor],
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains one step, see `keras.Model.train_on_batch`."""
        check_azimuths(y)
        return keras.Model.train_on_batch(self, x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self,
        x: Mapping[str, Tensor],
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Scores one batch, see `keras.Model.test_on_batch`."""
        check_azimuths(y)
        return keras.Model.test_on_batch(self, x, y, sample_weight, return_dict)


def _counted(dataset: Any, steps: int | None, passes: int = 1) -> tuple[Any, int | None]:
    """A Grain dataset as Keras 3.15 needs it: repeated for all passes, with its batches counted.

    Keras does not read the count: it warns at the end of the data, or counts them again.
    """
    if not isinstance(dataset, grain.MapDataset) or not 0 < len(dataset) < _ENDLESS:
        return dataset, steps
    if steps is not None and steps > len(dataset):
        warnings.warn(
            f"The dataset has {len(dataset)} batches, fewer than the {steps} steps that were "
            "requested: a pass ends with the data.",
            stacklevel=3,
        )
    steps = min(steps or len(dataset), len(dataset))
    options = grain.ReadOptions(num_threads=_READ_AHEAD, prefetch_buffer_size=_READ_AHEAD)
    return dataset.repeat(passes).to_iter_dataset(options), steps


def _can_be_shuffled(x: Any) -> bool:
    """Whether Keras shuffles such inputs; it warns of others that it does not."""
    return hasattr(x, "shape") or isinstance(x, dict | list | tuple | keras.utils.PyDataset)
