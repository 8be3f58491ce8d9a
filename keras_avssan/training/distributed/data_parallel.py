"""Data-parallel training: each device takes a share of every batch."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.types import Tensor
from keras_avssan.data.scenes.make_dataset import make_dataset
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.doa.losses import AlignmentLoss
from keras_avssan.training.distributed.engines import Engine, make_engine
from keras_avssan.training.patches import Overrides


class Workers:
    """The devices and processes that train together; `data_parallel` makes it.

    Attributes:
        num_replicas: Number of devices that share a batch, those of all processes together.
        num_processes: Number of processes that step together.
        process: Number of this process, from 0.
        is_chief: Whether this is process 0, the one that writes files.

    Args:
        engine: The backend's engine for several devices.
        overrides: Patches that are undone at the end of the `with` block.

    Example:
        >>> with data_parallel() as workers:
        ...     model = workers.prepare(AVSSAN())
        ...     train = workers.make_dataset(plan, num_scenes=64, batch_size=8)
        ...     model.fit(train, verbose=0)
    """

    def __init__(self, engine: Engine, overrides: Overrides) -> None:
        self._engine = engine
        self._overrides = overrides
        self.num_replicas = engine.num_replicas
        self.num_processes = engine.num_processes
        self.process = engine.process
        self.is_chief = engine.process == 0

    def __repr__(self) -> str:
        return one_line(
            self,
            count(self.num_replicas, "replica"),
            f"process {self.process} of {self.num_processes}",
        )

    def prepare(self, model: keras.Model, synchronize: bool = True) -> keras.Model:
        """Makes a model train on all devices.

        The effect lasts until the end of the `with` block. Of several processes, all that train
        or evaluate must do so together.

        Args:
            model: A `keras_avssan.models.Localizer` that was made within the `with` block.
            synchronize: Whether the moments of batch normalisation and the contrast of the
                alignment loss are computed over the whole batch. If `False`, each replica uses its
                share alone under TensorFlow and PyTorch, whose engines split the batch: less is
                sent, and weights differ from those of one device.

        Returns:
            The model.

        Raises:
            ValueError: If the model was made outside of the `with` block.
        """
        if not self._engine.owns(model):
            raise ValueError(
                f"`model` must be made within `with data_parallel()`, where its weights are put on "
                f"all devices. Received: model={model!r}, which was made outside"
            )
        if not model.compiled:
            model.compile()
        if synchronize and self._engine.splits_losses:
            self._synchronize(model)
        self._engine.attach(model, self._overrides)
        return model

    def _synchronize(self, model: keras.Model) -> None:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                self._engine.synchronize_statistics(layer, self._overrides)
        alignment = getattr(model.loss, "alignment_loss", None)
        if alignment is not None:
            whole = _WholeBatchAlignment(self._engine, alignment)
            self._overrides.set(model.loss, "alignment_loss", whole)

    def make_dataset(
        self,
        plan: ScenePlan,
        num_scenes: int,
        batch_size: int = 32,
        *,
        make: Callable[..., Any] = make_dataset,
        **kwargs: Any,
    ) -> Any:
        """Makes the dataset of this process: its share of each batch.

        Called as `keras_avssan.data.make_dataset` is, so that it is an argument of `fit_scenes`:
        all workers together see the batches that one device would see.

        Args:
            plan: `keras_avssan.data.ScenePlan`.
            num_scenes: Number of scenes, of all processes together.
            batch_size: Scenes per step, of all devices together.
            make: Function that makes the shares, called as `make_dataset` is with `shard`.
            **kwargs: Further arguments of `make_dataset`, except `shard`.

        Returns:
            A dataset that `fit` and `evaluate` of a prepared model take.

        Raises:
            ValueError: If devices would have batches of different sizes, or there are more
                processes than batches.
        """
        if batch_size % self.num_replicas:
            raise ValueError(
                f"`batch_size` must be a multiple of the {self.num_replicas} devices that share "
                f"a batch. Received: batch_size={batch_size}"
            )
        if num_scenes % batch_size:
            raise ValueError(
                "`num_scenes` must be a multiple of `batch_size`: devices step together, on full "
                f"batches. Received: num_scenes={num_scenes}, batch_size={batch_size}"
            )
        return self._engine.dataset(make, plan, num_scenes, batch_size, **kwargs)


@contextlib.contextmanager
def data_parallel(devices: list[str] | None = None) -> Iterator[Workers]:
    """Trains on several devices: each takes a share of every batch, and gradients are summed.

    The same code runs under each backend, with its own engine:

    - JAX: `keras.distribution.DataParallel`, one process for all devices of a machine.
    - TensorFlow: `tf.distribute.MirroredStrategy`, one process for all devices of a machine; or
      `MultiWorkerMirroredStrategy`, a process a machine, where `TF_CONFIG` names them.
    - PyTorch: `DistributedDataParallel`, a process a device, started by `torchrun`.

    On one device it changes nothing. After the same batches the weights are those of a training on
    one device up to rounding, except with dropout, whose random draws differ.

    Args:
        devices: Names of the devices, such as `["gpu:0", "gpu:1"]`, under JAX and TensorFlow; all
            accelerators of the machine by default.

    Yields:
        `Workers`.

    Raises:
        ValueError: If `devices` is given under PyTorch.

    Example:
        >>> with data_parallel() as workers:
        ...     model = workers.prepare(AVSSAN())
        ...     fit_scenes(model, plan, steps=1000, batch_size=32, make=workers.make_dataset)
        ...     if workers.is_chief:
        ...         model.save_to_preset("my_model")
    """
    engine = make_engine(devices)
    overrides = Overrides()
    try:
        with engine.scope():
            yield Workers(engine, overrides)
    finally:
        overrides.undo()
        engine.close()


class _WholeBatchAlignment(AlignmentLoss):
    """The alignment loss of a replica's scenes, contrasted with those of all replicas."""

    def __init__(self, engine: Engine, alignment: AlignmentLoss) -> None:
        super().__init__(alignment.temperature, alignment.name, reduction="none")
        self._engine = engine

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        number = ops.one_hot(self._engine.replica(), self._engine.num_replicas)
        losses = super().call(self._gather(y_true, number), self._gather(y_pred, number))
        losses = ops.reshape(losses, (self._engine.num_replicas, -1))
        return ops.sum(number[:, None] * losses, axis=0)

    def _gather(self, embeddings: Tensor, number: Tensor) -> Tensor:
        """Embeddings of all replicas, (replicas · batch, D), in the order of their numbers."""
        own = number[:, None, None] * embeddings[None]
        return ops.reshape(self._engine.sum_replicas(own), (-1, embeddings.shape[-1]))
