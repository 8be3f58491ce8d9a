"""`fit`, `evaluate` and `predict` as `keras.Model` has them, in place of KerasHub's."""

import sys
import warnings
from typing import Any

import grain
import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.models.fitting.dataset_scenes import match_dataset
from keras_avssan.models.fitting.labels import check_azimuths
from keras_avssan.models.fitting.task_mixin import TaskMixin

# Batches that Grain reads ahead, and threads that do so. Grain's own 500 batches would be rendered
# in vain before each validation, and after the last step.
_READ_AHEAD = 8
# Length that Grain reports of a dataset without an end.
_ENDLESS = sys.maxsize


class KerasTraining(TaskMixin):
    """What a task of KerasHub lacks that `keras.Model` has.

    `keras_hub.models.Task` makes a dataset of all that it is given, for its preprocessor: arrays
    come in the same order in every epoch then, and what is neither an array nor a dataset of
    `tf.data` or Grain is refused. Datasets of localisers come in the model's form already, so that
    nothing stands in the way of Keras's own methods.
    """

    def fit(
        self,
        x: Tensor = None,
        y: Tensor = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data=None,
        shuffle: bool = True,
        class_weight=None,
        sample_weight: Tensor = None,
        initial_epoch: int = 0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ):
        """Trains the model for a fixed number of epochs, as `keras.Model.fit` does.

        Args:
            x: Inputs, a dict of arrays whose first axis is the batch; or a dataset of `(inputs,
                labels)` or `(inputs, labels, sample weights)`: of `tf.data` or Grain, such as
                `keras_avssan.data.make_dataset` makes, a `torch.utils.data.DataLoader`, a
                `keras.utils.PyDataset` or a generator.
            y: Labels where `x` holds arrays, see the class.
            batch_size: Scenes a step where `x` holds arrays; 32 if not given.
            epochs: Number of the last epoch.
            verbose: `"auto"`, 0, 1 or 2.
            callbacks: List of `keras.callbacks.Callback`.
            validation_split: Share of the arrays, from their end, to validate on.
            validation_data: Tuple of inputs, labels and, optionally, sample weights; or a dataset.
            shuffle: Whether arrays and finite `PyDataset`s are put in another order each epoch;
                the order of other datasets is their own.
            class_weight: Dict from class to weight, where labels are an array of whole numbers.
            sample_weight: Weight of each scene in the loss and in `weighted_metrics`, an array.
            initial_epoch: Number of epochs that were trained before.
            steps_per_epoch: Batches an epoch; all if not given.
            validation_steps: Batches of a validation; all if not given.
            validation_batch_size: Scenes a step of a validation on arrays.
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
        x: Tensor = None,
        y: Tensor = None,
        batch_size: int | None = None,
        verbose: str = "auto",
        sample_weight: Tensor = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ):
        """Computes the loss and the scores, as `keras.Model.evaluate` does.

        Args:
            x: Inputs or a dataset, see `fit`.
            y: Labels where `x` holds arrays.
            batch_size: Scenes a step where `x` holds arrays; 32 if not given.
            verbose: `"auto"`, 0, 1 or 2.
            sample_weight: Weight of each scene in the loss and in `weighted_metrics`, an array.
            steps: Number of batches; all if not given.
            callbacks: List of `keras.callbacks.Callback`.
            return_dict: Whether the scores come as a dict from name to value.
            **kwargs: What `fit` hands over to its validation.

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
        x: Tensor,
        batch_size: int | None = None,
        verbose: str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ):
        """Computes the outputs for many scenes, as `keras.Model.predict` does.

        Args:
            x: Inputs or a dataset, see `fit`; what a dataset holds besides inputs is ignored.
            batch_size: Scenes a step where `x` holds arrays; 32 if not given.
            verbose: `"auto"`, 0, 1 or 2.
            steps: Number of batches; all if not given.
            callbacks: List of `keras.callbacks.Callback`.

        Returns:
            Dict of NumPy arrays, see the call of the model.

        Raises:
            ValueError: If a dataset of planned scenes is of another microphone spacing or sampling
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
        x: Tensor,
        y: Tensor = None,
        sample_weight: Tensor = None,
        class_weight=None,
        return_dict: bool = False,
    ):
        """Trains one step, see `keras.Model.train_on_batch`."""
        check_azimuths(y)
        return keras.Model.train_on_batch(self, x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Tensor, y: Tensor = None, sample_weight: Tensor = None, return_dict: bool = False
    ):
        """Scores one batch, see `keras.Model.test_on_batch`."""
        check_azimuths(y)
        return keras.Model.test_on_batch(self, x, y, sample_weight, return_dict)


def _counted(dataset: Any, steps: int, passes: int = 1):
    """A Grain dataset as Keras 3.15 needs it: with its number of batches, repeated for all passes.

    Keras does not ask for the number: it runs into the end with a warning, or finds it again.
    """
    if not isinstance(dataset, grain.MapDataset) or not 0 < len(dataset) < _ENDLESS:
        return dataset, steps
    if steps is not None and steps > len(dataset):
        warnings.warn(
            f"The dataset has {len(dataset)} batches, fewer than the {steps} steps that were "
            "asked for: a pass ends with the data.",
            stacklevel=3,
        )
    steps = min(steps or len(dataset), len(dataset))
    options = grain.ReadOptions(num_threads=_READ_AHEAD, prefetch_buffer_size=_READ_AHEAD)
    return dataset.repeat(passes).to_iter_dataset(options), steps


def _can_be_shuffled(x: Tensor):
    """Whether Keras puts it in another order, rather than warn that it does not."""
    return hasattr(x, "shape") or isinstance(x, dict | list | tuple | keras.utils.PyDataset)
