"""What each backend's engine for data-parallel training needs in its own form, and only that."""

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.training.patches import Overrides


class Engine:
    """One process with one replica: what the engines share.

    Attributes:
        num_replicas: Devices that a batch is shared by, those of all processes together.
        num_processes: Processes that step together.
        process: Number of this one, from 0.
        splits_losses: Whether each replica computes the loss of its own share alone, and sees
            the other replicas' scenes through `sum_replicas` only.
    """

    num_replicas = 1
    num_processes = 1
    process = 0
    splits_losses = False

    def scope(self) -> contextlib.AbstractContextManager:
        """Context in which models and optimizers are made."""
        return contextlib.nullcontext()

    def owns(self, model: Any) -> bool:
        """Whether a model was made in the scope, where that is needed."""
        return True

    def sum_replicas(self, x: Any) -> Any:
        """Sum of a tensor over all replicas, within a step; gradients flow through it."""
        return x

    def replica(self) -> Any:
        """Number of the replica that computes, within a step."""
        return 0

    def synchronize_statistics(self, layer: Any, overrides: Overrides) -> None:
        """Lets a `BatchNormalization` take the moments of the whole batch."""

    def attach(self, model: Any, overrides: Overrides) -> None:
        """Makes the model's steps sum the gradients of all replicas."""

    def dataset(self, make: Callable, plan: Any, num_scenes: int, batch_size: int, **kwargs: Any):
        """Dataset of this process's share of each batch."""
        share = (self.process, self.num_processes)
        return make(plan, num_scenes, batch_size // self.num_processes, shard=share, **kwargs)

    def close(self) -> None:
        """Ends what was begun with the engine."""


class JAXEngine(Engine):
    """`keras.distribution.DataParallel`: XLA splits one program over all devices.

    A batch stays one array, whatever devices hold it, so that all that is computed over a batch
    is over the whole of it. Several processes are joined by `keras.distribution.initialize`,
    where its environment variables are set.
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

    def scope(self):
        return self._distribution.scope()

    def owns(self, model: Any):
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

    def scope(self):
        return self._strategy.scope()

    def owns(self, model: Any):
        created_here = self._strategy.extended.variable_created_in_scope
        return all(created_here(variable.value) for variable in model.trainable_variables)

    def sum_replicas(self, x: Tensor):
        context = self._tf.distribute.get_replica_context()
        # There is none where Keras only looks for shapes.
        return x if context is None else context.all_reduce("SUM", x)

    def replica(self):
        context = self._tf.distribute.get_replica_context()
        return 0 if context is None else context.replica_id_in_sync_group

    def synchronize_statistics(self, layer: Any, overrides) -> None:
        overrides.set(layer, "synchronized", True)

    def attach(self, model: Any, overrides) -> None:
        cls = type(model)

        def train_step(data: Any):
            self._sum_before_clipping(model.optimizer)
            return self._logs(cls.train_step(model, data))

        def test_step(data: Any):
            return self._logs(cls.test_step(model, data))

        def build_by_share(iterator=None, data_batch=None) -> None:
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
        # Keras takes the mean over all workers' batches to see their shape, which TensorFlow
        # does for a tensor, but not for a dict.
        overrides.set(model, "_maybe_symbolic_build", build_by_share)

    def _logs(self, logs: dict[str, Any] | None):
        """A step's logs; of several workers with an axis, over which Keras takes the mean."""
        if self._strategy.extended._in_multi_worker_mode():
            return {name: self._tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    def _sum_before_clipping(self, optimizer) -> None:
        """Clips the gradient of the whole batch: Keras clips each replica's and sums then."""
        if "_clip_gradients" in vars(optimizer):
            return
        clip = optimizer._clip_gradients

        def clip_sum(gradients):
            context = self._tf.distribute.get_replica_context()
            return clip(gradients if context is None else context.all_reduce("SUM", gradients))

        optimizer._clip_gradients = clip_sum
        optimizer._all_reduce_sum_gradients = lambda pairs: pairs

    def dataset(self, make, plan, num_scenes: int, batch_size: int, **kwargs: Any):
        def share(context):
            of = (context.input_pipeline_id, context.num_input_pipelines)
            return make(plan, num_scenes, batch_size // self.num_replicas, shard=of, **kwargs)

        dataset = self._strategy.distribute_datasets_from_function(share)
        if dataset.cardinality > 0:
            # It counts this process's shares; Keras asks it for the number of steps.
            dataset._cardinality = num_scenes // batch_size
        return dataset


class TorchEngine(Engine):
    """`torch.nn.parallel.DistributedDataParallel`: a process a device, started by `torchrun`."""

    def __init__(self, devices: list[str] | None) -> None:
        import torch
        import torch.distributed

        if devices is not None:
            raise ValueError(
                "PyTorch has a process for each device, which `torchrun --nproc-per-node` counts; "
                f"`devices` must not be given. Received: devices={devices}"
            )
        self._torch, self._distributed = torch, torch.distributed
        self._began = False
        if "TORCHELASTIC_RUN_ID" in os.environ and not torch.distributed.is_initialized():
            on_gpu = torch.cuda.is_available()
            if on_gpu:
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
            self._began = True
        if torch.distributed.is_initialized():
            self.num_replicas = self.num_processes = torch.distributed.get_world_size()
            self.process = torch.distributed.get_rank()
            # A channel of its own: it does not get between the buckets of gradients.
            self._group = torch.distributed.new_group()
        self.splits_losses = self.num_replicas > 1

    def sum_replicas(self, x: Tensor):
        # Meta tensors are where Keras only looks for shapes.
        return x if x.is_meta else _summed_over(self._group).apply(x)

    def replica(self):
        return self.process

    def synchronize_statistics(self, layer: Any, overrides) -> None:
        local = layer._moments

        def moments(inputs: Tensor, mask: Tensor):
            if mask is not None:
                return local(inputs, mask)
            axes = layer._reduction_axes
            mean, power = inputs.mean(dim=axes), inputs.square().mean(dim=axes)
            both = self._torch.stack([mean, power])
            mean, power = self.sum_replicas(both) / self.num_replicas
            return mean, power - mean.square()

        overrides.set(layer, "_moments", moments)

    def attach(self, model: Any, overrides) -> None:
        if self.num_replicas == 1:
            return
        network = _network(model)
        # Static: which weights have a gradient is found out once; there may be some without, and
        # the loss may use weights that the network's own outputs did not.
        parallel = self._torch.nn.parallel.DistributedDataParallel(network, static_graph=True)
        local, result = model.call, model.get_metrics_result

        def call(inputs: Tensor, training: bool | None = None) -> Any:
            return parallel(inputs) if training else local(inputs, training=training)

        overrides.set(model, "call", call)
        overrides.set(model, "get_metrics_result", lambda: self._global_result(model, result))

    def _global_result(self, model: Any, result):
        """Results of the metrics over what all processes have seen.

        A metric's state is a sum, unless its variable says that it is a mean.
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
        if self._began:
            self._distributed.destroy_process_group()


def _network(model: Any):
    """The model's own forward pass in training, as a module that torch wraps."""
    import torch

    forward = model.call

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: Tensor):
            return forward(inputs, training=True)

    return Network()


def _summed_over(group):
    """Sum over processes, whose gradient is the sum of their gradients."""
    import torch

    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(context, x: Tensor):
            return _all_reduced(x)

        @staticmethod
        def backward(context, gradient):
            return _all_reduced(gradient)

    def _all_reduced(x: Tensor):
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
    """The engine of the backend in use.

    Args:
        devices: Names of the devices; all of this machine if `None`.

    Returns:
        An `Engine`.
    """
    return _ENGINES[keras.config.backend()](devices)
