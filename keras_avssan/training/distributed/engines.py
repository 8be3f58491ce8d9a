"""Backend-specific engines of data-parallel training."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.training.patches import Overrides


class Engine:
    """One process with one replica; base class of the engines."""

    num_replicas = 1  # devices that share a batch, over all processes
    num_processes = 1  # that step together
    process = 0  # number of this one
    # Whether a replica computes the loss of its share alone, and others' through `sum_replicas`.
    splits_losses = False

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Context in which models and optimizers are made."""
        return contextlib.nullcontext()

    def owns(self, model: keras.Model) -> bool:
        """Whether a model was made in the scope, where that is needed."""
        return True

    def sum_replicas(self, x: Tensor) -> Tensor:
        """Sum of a tensor over all replicas, within a step; gradients flow through it."""
        return x

    def replica(self) -> int | Tensor:
        """Number of the replica that computes, within a step."""
        return 0

    def synchronize_statistics(
        self, layer: keras.layers.BatchNormalization, overrides: Overrides
    ) -> None:
        """Lets a `BatchNormalization` take the moments of the whole batch."""

    def attach(self, model: keras.Model, overrides: Overrides) -> None:
        """Makes the model's steps sum the gradients of all replicas."""

    def dataset(
        self,
        make: Callable[..., Any],
        plan: ScenePlan,
        num_scenes: int,
        batch_size: int,
        **kwargs: Any,
    ) -> Any:
        """Dataset of this process's share of each batch."""
        share = (self.process, self.num_processes)
        return make(plan, num_scenes, batch_size // self.num_processes, shard=share, **kwargs)

    def close(self) -> None:
        """Ends processes that the engine has started."""


class JAXEngine(Engine):
    """`keras.distribution.DataParallel`: XLA splits one program over all devices.

    A batch stays one array, so that computations over a batch cover all of it.
    """

    def __init__(self, devices: list[str] | None) -> None:
        import jax

        joins = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", 1)) > 1
        if joins and not jax.distributed.is_initialized():
            keras.distribution.initialize()
        self._distribution = keras.distribution.DataParallel(
            devices=devices or keras.distribution.list_devices(), auto_shard_dataset=False
        )
        self.num_replicas = self._distribution.device_mesh.devices.size
        self.num_processes = jax.process_count()
        self.process = jax.process_index()

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        return self._distribution.scope()

    def owns(self, model: keras.Model) -> bool:
        return all(
            len(variable.value.sharding.device_set) == self.num_replicas
            for variable in model.trainable_variables
        )


class TensorFlowEngine(Engine):
    """`tf.distribute`: `MultiWorkerMirroredStrategy` under `TF_CONFIG`, else `MirroredStrategy`."""

    splits_losses = True

    def __init__(self, devices: list[str] | None) -> None:
        import tensorflow as tf

        self._tf = tf
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster")
        if cluster:
            self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
            chiefs = len(cluster.get("chief", ()))
            self.num_processes = chiefs + len(cluster.get("worker", ()))
            resolver = self._strategy.cluster_resolver
            self.process = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
        else:
            self._strategy = tf.distribute.MirroredStrategy(devices)
        self.num_replicas = self._strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        return self._strategy.scope()

    def owns(self, model: keras.Model) -> bool:
        created_here = self._strategy.extended.variable_created_in_scope
        return all(created_here(variable.value) for variable in model.trainable_variables)

    def sum_replicas(self, x: Tensor) -> Tensor:
        context = self._tf.distribute.get_replica_context()
        # There is no context while Keras only computes shapes.
        return x if context is None else context.all_reduce("SUM", x)

    def replica(self) -> int | Tensor:
        context = self._tf.distribute.get_replica_context()
        return 0 if context is None else context.replica_id_in_sync_group

    def synchronize_statistics(
        self, layer: keras.layers.BatchNormalization, overrides: Overrides
    ) -> None:
        overrides.set(layer, "synchronized", True)

    def attach(self, model: keras.Model, overrides: Overrides) -> None:
        cls = type(model)

        def train_step(data: Any) -> dict[str, Tensor]:
            self._sum_before_clipping(model.optimizer)
            return self._logs(cls.train_step(model, data))

        def test_step(data: Any) -> dict[str, Tensor]:
            return self._logs(cls.test_step(model, data))

        def build_by_share(iterator: Iterable[Any] | None = None, data_batch: Any = None) -> None:
            if iterator is not None:
                _, _, batches = next(iter(iterator))
                data_batch = keras.tree.map_structure(
                    lambda value: self._strategy.experimental_local_results(value)[0],
                    next(batches),
                )
            with self.scope():
                model._symbolic_build(data_batch=data_batch)

        overrides.set(model, "train_step", train_step)
        overrides.set(model, "test_step", test_step)
        # Keras takes the mean over all workers' batches to find their shape, which TensorFlow
        # supports for a tensor, but not for a dict.
        overrides.set(model, "_maybe_symbolic_build", build_by_share)

    def _logs(self, logs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Logs of a step, with an axis over several workers, whose mean Keras takes."""
        if self._strategy.extended._in_multi_worker_mode():
            return {name: self._tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    def _sum_before_clipping(self, optimizer: keras.Optimizer) -> None:
        """Clips the gradient of the whole batch: Keras would clip each replica's, then sum."""
        if "_clip_gradients" in vars(optimizer):
            return
        clip = optimizer._clip_gradients

        def clip_sum(gradients: list[Tensor]) -> list[Tensor]:
            context = self._tf.distribute.get_replica_context()
            return clip(gradients if context is None else context.all_reduce("SUM", gradients))

        optimizer._clip_gradients = clip_sum
        optimizer._all_reduce_sum_gradients = lambda pairs: pairs

    def dataset(
        self,
        make: Callable[..., Any],
        plan: ScenePlan,
        num_scenes: int,
        batch_size: int,
        **kwargs: Any,
    ) -> Any:
        def share(context: Any) -> Any:
            of = (context.input_pipeline_id, context.num_input_pipelines)
            return make(plan, num_scenes, batch_size // self.num_replicas, shard=of, **kwargs)

        dataset = self._strategy.distribute_datasets_from_function(share)
        if dataset.cardinality > 0:
            # It counts this process's shares; Keras reads the number of steps from it.
            dataset._cardinality = num_scenes // batch_size
        return dataset


class TorchEngine(Engine):
    """`torch.nn.parallel.DistributedDataParallel`: a process a device, started by `torchrun`."""

    def __init__(self, devices: list[str] | None) -> None:
        import torch
        import torch.distributed

        if devices is not None:
            raise ValueError(
                "`devices` must be `None` under PyTorch, which has a process for each device, as "
                f"many as `torchrun --nproc-per-node` starts. Received: devices={devices!r}"
            )
        self._torch, self._distributed = torch, torch.distributed
        self._started = False
        if "TORCHELASTIC_RUN_ID" in os.environ and not torch.distributed.is_initialized():
            on_gpu = torch.cuda.is_available()
            if on_gpu:
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
            self._started = True
        if torch.distributed.is_initialized():
            self.num_replicas = self.num_processes = torch.distributed.get_world_size()
            self.process = torch.distributed.get_rank()
            # A group of its own, so that it does not interfere with the buckets of gradients.
            self._group = torch.distributed.new_group()
        self.splits_losses = self.num_replicas > 1

    def sum_replicas(self, x: Tensor) -> Tensor:
        # Tensors are on the meta device while Keras only computes shapes.
        return x if x.is_meta else _summed_over(self._group).apply(x)

    def replica(self) -> int:
        return self.process

    def synchronize_statistics(
        self, layer: keras.layers.BatchNormalization, overrides: Overrides
    ) -> None:
        local = layer._moments

        def moments(inputs: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
            if mask is not None:
                return local(inputs, mask)
            axes = layer._reduction_axes
            mean, power = inputs.mean(dim=axes), inputs.square().mean(dim=axes)
            both = self._torch.stack([mean, power])
            mean, power = self.sum_replicas(both) / self.num_replicas
            return mean, power - mean.square()

        overrides.set(layer, "_moments", moments)

    def attach(self, model: keras.Model, overrides: Overrides) -> None:
        if self.num_replicas == 1:
            return
        network = _network(model)
        # Static: the weights with a gradient are determined once; some may have none, and the loss
        # may use weights that the network's own outputs did not.
        parallel = self._torch.nn.parallel.DistributedDataParallel(network, static_graph=True)
        local, result = model.call, model.get_metrics_result

        def call(inputs: Any, training: bool | None = None) -> Any:
            return parallel(inputs) if training else local(inputs, training=training)

        overrides.set(model, "call", call)
        overrides.set(model, "get_metrics_result", lambda: self._global_result(model, result))

    def _global_result(
        self, model: keras.Model, result: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Results of the metrics over the batches of all processes.

        The state of a metric is a sum, unless its variable's `aggregation` is a mean.
        """
        variables = model.metrics_variables
        states = [variable.value for variable in variables]
        if not states or any(state.is_meta for state in states):
            return result()
        flat = self._torch.cat([state.detach().double().reshape(-1) for state in states])
        self._distributed.all_reduce(flat, group=self._group)
        parts = flat.split([state.numel() for state in states])
        mapping = []
        for variable, state, part in zip(variables, states, parts, strict=True):
            share = self.num_processes if variable.aggregation == "mean" else 1
            mapping.append((variable, (part / share).reshape(state.shape).to(state.dtype)))
        with keras.StatelessScope(state_mapping=mapping):
            return result()

    def close(self) -> None:
        if self._started:
            self._distributed.destroy_process_group()


def _network(model: keras.Model) -> Any:
    """The model's own forward pass in training, as a module that torch can wrap."""
    import torch

    forward = model.call

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: Any) -> Any:
            return forward(inputs, training=True)

    return Network()


def _summed_over(group: Any) -> Any:
    """Sum over processes, whose gradient is the sum of their gradients."""
    import torch

    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Tensor) -> Tensor:
            return _all_reduced(x)

        @staticmethod
        def backward(context: Any, gradient: Tensor) -> Tensor:
            return _all_reduced(gradient)

    def _all_reduced(x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total, group=group)
        return total

    return Sum


_ENGINES: dict[str, Callable[[list[str] | None], Engine]] = {
    "jax": JAXEngine,
    "tensorflow": TensorFlowEngine,
    "torch": TorchEngine,
}


def make_engine(devices: list[str] | None) -> Engine:
    """The engine of the backend in use, for named devices or all of this machine."""
    return _ENGINES[keras.config.backend()](devices)
