"""Training steps, losses and scores of localisers."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.doa.metrics import (
    AngularAccuracy,
    AngularMAE,
    SelectedAngularMAE,
    SelectionRate,
)
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.models.fitting.compile_arguments import (
    check_metrics,
    metrics_by_output,
    named_losses,
)
from keras_avssan.models.fitting.keras_training import KerasTraining
from keras_avssan.models.fitting.labels import as_labels, output_weights, scene_weights
from keras_avssan.models.fitting.optimizer_state import build_when_loaded
from keras_avssan.models.fitting.torch_steps import TorchSteps

# Inputs of a scene that is rendered on the device, in the order in which the layer takes them.
_DRY_INPUTS = ("dry_audio", "rirs", "snr")
# Outputs by the name of their truth, where a loss on dicts names the two differently.
_PREDICTIONS = {
    "azimuth": "doa",
    "spectrogram": "masked_spectrogram",
    "semantics": "prompt_semantics",
}


def level_target(x: Mapping[str, Tensor], y: Mapping[str, Tensor]) -> Tensor:
    """The targets alone, (batch, samples, 2), with the gain that gives mixtures unit power."""
    return ops.cast(y["target"], "float32") * level_gain(x["audio"])


def _without_interferer(y: Mapping[str, Tensor]) -> str:
    """A sentence, after a space, on labels without the interferer's azimuth; else empty."""
    if "interferer_azimuth" in y:
        return ""
    return (
        " They have no `interferer_azimuth` (batch,) either: selection scores are NaN without it."
    )


class LocalizerTraining(KerasTraining, TorchSteps):
    """Adds the training step, losses and scores to `Localizer`, which describes its inputs."""

    # Names of the outputs that losses and metrics can be given for.
    supervised_outputs: Any = ("doa",)
    # Truths that a loss on dicts may weigh: its attribute, and the weight where it has none.
    _weighed: dict[str, tuple[str, float]] = {
        "spectrogram": ("reconstruction_weight", 1),
        "semantics": ("alignment_weight", 0),
    }
    # Those outputs of them that are compared with zeros, and need no `target`.
    _compared_with_zeros: tuple[str, ...] = ()
    # Names of outputs where metrics were given by output; `None` where all are of `doa`.
    _scored_outputs: tuple[str, ...] | None = None
    _missed_target = False
    _compile_loss: Any  # of `keras.Model`

    def render(
        self, inputs: Mapping[str, Tensor], labels: Mapping[str, Tensor] | None = None
    ) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor] | None]:
        """Renders scenes of dry inputs; others are returned unchanged.

        Args:
            inputs: Inputs of a batch, a dict. Those rendered hold `dry_audio` (batch, 2, samples),
                `rirs` (batch, 2, 2, length) and `snr` (batch,).
            labels: Labels of the batch, a dict, or `None`.

        Returns:
            Tuple of inputs and labels: with `audio` in place of the dry inputs, and `target` among
            the labels.

        Raises:
            ValueError: If some of the dry inputs are missing.
        """
        if not isinstance(inputs, dict) or "dry_audio" not in inputs:
            return inputs, labels
        missing = [name for name in _DRY_INPUTS if name not in inputs]
        if missing:
            raise ValueError(
                f"Dry scenes must have the inputs {_DRY_INPUTS}. "
                f"Received: inputs with keys {sorted(inputs)}"
            )
        audio, target = self.renderer(*(inputs[name] for name in _DRY_INPUTS))
        prompts = {name: value for name, value in inputs.items() if name not in _DRY_INPUTS}
        if labels is not None:
            labels = {**labels, "target": target}
        return {"audio": audio, **prompts}, labels

    def default_loss(self) -> keras.losses.Loss:
        """Makes the loss of `compile(loss="auto")`: called with dicts, see `doa.JointLoss`."""
        raise NotImplementedError

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """Makes the optimizer of `compile(optimizer="auto")`."""
        raise NotImplementedError

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "auto",
        loss: Any = "auto",
        metrics: Any = "auto",
        loss_weights: Mapping[str, float] | None = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configures the model for training.

        Names of outputs are those of `supervised_outputs`: `doa`, whose truth is the azimuth in
        degrees, and, in networks that have them, `masked_spectrogram` and `prompt_semantics`,
        whose truth is computed from the label `target`.

        Args:
            optimizer: A Keras optimizer or the name of one; `"auto"` takes the configuration's.
            loss: `"auto"` takes the configuration's. A `keras.losses.Loss` that is called with
                dicts, such as `doa.JointLoss`; a loss on one output, `doa.DoALoss`,
                `doa.ReconstructionLoss` or `doa.AlignmentLoss`; or a dict from output to loss. In
                a dict, `doa` takes `DoALoss` or a loss or function of your own, the others take
                Keras's losses, functions and their names too. `None` leaves the model without.
            metrics: `"auto"` takes MAE, accuracy within 5°, selection rate and the MAE of
                correctly selected scenes. A list of metrics of `keras_avssan.doa`, or of your own
                metrics and functions: they compare azimuths of target and interferer in degrees
                (batch, 2) with the posterior. Or a dict from output to metrics; names of scores
                begin with that of the output then. With `None`, the loss is the only score.
            loss_weights: Dict from output to weight, where `loss` is a dict.
            weighted_metrics: Metrics that take `sample_weight` into account, as `metrics`.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: If a loss or metric cannot be computed; the message lists those that can.

        Example:
            >>> model.compile("adam", loss=DoALoss(), metrics=[AngularMAE()])
            >>> model.compile(loss={"doa": DoALoss(), "masked_spectrogram": "mae"},
            ...               loss_weights={"masked_spectrogram": 5.0})
        """
        if isinstance(loss, str) and loss == "auto":
            loss = self.default_loss()
        if isinstance(metrics, str) and metrics == "auto":
            metrics = [AngularMAE(), AngularAccuracy(5), SelectionRate(), SelectedAngularMAE()]
        outputs = tuple(self.supervised_outputs)
        loss, loss_weights = named_losses(loss, loss_weights, outputs)
        check_metrics("metrics", metrics, outputs)
        check_metrics("weighted_metrics", weighted_metrics, outputs)
        metrics, weighted_metrics = metrics_by_output(metrics, weighted_metrics)
        self._scored_outputs = None
        if isinstance(metrics, dict) or isinstance(weighted_metrics, dict):
            self._scored_outputs = tuple({**(metrics or {}), **(weighted_metrics or {})})
        self._missed_target = False
        # Keras keeps losses and metrics of an earlier `compile` where none are given now.
        self._compile_loss = self._compile_metrics = self.loss = None
        super().compile(
            optimizer=self.default_optimizer() if optimizer == "auto" else optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )
        build_when_loaded(self)
        if self._compile_loss is not None and not isinstance(loss, dict):
            # `compute_loss` calls the loss itself, so Keras's wrapper of it is never built;
            # to build it, every `train_on_batch` would trace the whole network again.
            self._compile_loss.built = True

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compiles as a saved model was compiled."""
        config = keras.saving.deserialize_keras_object(config)
        try:
            self.compile(**config)
        except ValueError as error:  # stored before `compile` refused what no step can compute
            warnings.warn(
                "The model was stored with a loss or metrics that cannot be computed, and is "
                f"compiled with those of its configuration. {error}",
                stacklevel=2,
            )
            self.compile(config.get("optimizer", "auto"))

    def preprocess_samples(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Leaves batches unchanged: datasets come in the model's form already."""
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def make_train_function(self, force: bool = False) -> Any:
        """Makes the training step, after the optimizer is built.

        TensorFlow traces a step that creates the optimizer's variables twice.
        """
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    # A step takes (data) or (state, data), as the backend wants it: the batch comes last. It is
    # rendered here once, for the network, the loss and the metrics.
    def train_step(self, *arguments: Any) -> Any:
        """Trains one step, see `keras.Model.train_step`."""
        return super().train_step(*self._rendered(arguments))

    def test_step(self, *arguments: Any) -> Any:
        """Scores one batch, see `keras.Model.test_step`."""
        return super().test_step(*self._rendered(arguments))

    def predict_step(self, *arguments: Any) -> Any:
        """Runs one batch, see `keras.Model.predict_step`."""
        return super().predict_step(*self._rendered(arguments))

    def _rendered(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arguments of a step, with the batch rendered."""
        *state, data = arguments
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, dict):
            x, y = self.render(x, None if y is None else as_labels(y))
            data = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        return (*state, data)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Computes the loss, and its truth from the labels, on the device."""
        x, y = self.render(x, as_labels(y))
        if self.loss is None:
            raise ValueError(
                "There is no loss to compute: give `loss` to `compile`. Received: loss=None"
            )
        if isinstance(self.loss, dict):
            truth = {
                name: self.output_truth(name, x, y, y_pred, training=training) for name in self.loss
            }
            prediction = {name: y_pred[name] for name in self.loss}
            weights = output_weights(sample_weight, self.loss)
            loss = self._compile_loss(truth, prediction, weights)
        else:
            truth = self.target_truth(x, y, y_pred, training)
            truth["azimuth"] = y["azimuth"]
            names = [_PREDICTIONS.get(name, name) for name in truth]
            prediction = {name: y_pred[name] for name in names}
            loss = self.loss(truth, prediction, sample_weight=scene_weights(sample_weight))
        for extra in self.losses:
            # Under `tf.distribute`, a replica's share of it.
            loss = loss + ops.cast(self._aggregate_additional_loss(extra), loss.dtype)
        return loss

    def target_truth(
        self,
        x: Mapping[str, Tensor],
        y: Mapping[str, Tensor],
        y_pred: Mapping[str, Tensor],
        training: bool | None = None,
    ) -> dict[str, Tensor]:
        """Computes the truth of a loss on dicts, except the azimuth, from the target alone.

        Args:
            x: Inputs of a batch, a dict with `audio`.
            y: Labels of the batch, a dict with `target` (batch, samples, 2).
            y_pred: Outputs of the network.
            training: Whether encoders run in training mode.

        Returns:
            Dict with `spectrogram` (batch, T, F, 4) and `semantics` (batch, D), of `DGB` with
            `curve` (batch, lags) and `latent` (batch, 2, latent_dim): those that the loss weighs
            and the network has an output for, and that need no `target` where labels hold none.
        """
        outputs = {
            name: _PREDICTIONS.get(name, name)
            for name, (weight, default) in self._weighed.items()
            if getattr(self.loss, weight, default)
        }
        outputs = {name: output for name, output in outputs.items() if output in y_pred}
        zeros = {n: output for n, output in outputs.items() if output in self._compared_with_zeros}
        if not self.has_target(y, [name for name in outputs if name not in zeros]):
            outputs = zeros
        return {
            name: self.output_truth(output, x, y, y_pred, training=training)
            for name, output in outputs.items()
        }

    def has_target(self, y: Mapping[str, Tensor], names: Sequence[str]) -> bool:
        """Reports whether labels hold the target alone; warns once where loss terms need it.

        Args:
            y: Labels of a batch, a dict.
            names: Names of the terms that need it.

        Returns:
            Whether `target` is among the labels.
        """
        if "target" in y:
            return True
        if names and not self._missed_target:
            self._missed_target = True
            warnings.warn(
                "Labels have no entry `target` (the target source alone, (batch, samples, 2)); the "
                f"loss terms {', '.join(f'`{name}`' for name in names)} are left out. To train "
                "without them and without this warning, compile with `loss=DoALoss()`, or with "
                f"weights of 0 for these terms.{_without_interferer(y)}",
                stacklevel=2,
            )
        return False

    def output_truth(
        self,
        output: str,
        x: Mapping[str, Tensor],
        y: Mapping[str, Tensor],
        y_pred: Mapping[str, Tensor],
        training: bool | None = None,
    ) -> Tensor:
        """Computes the truth that one output of the network is compared with.

        Args:
            output: Name of the output, one of `supervised_outputs`.
            x: Inputs of a batch, a dict with `audio`.
            y: Labels of the batch, a dict.
            y_pred: Outputs of the network.
            training: Whether encoders run in training mode.

        Returns:
            Azimuths (batch,) in degrees for `doa`; a tensor of the output's shape for others.

        Raises:
            ValueError: If the labels hold no `target` and the output needs it.
        """
        if output == "doa":
            return y["azimuth"]
        if output in self._compared_with_zeros:
            return ops.zeros_like(y_pred[output])
        if "target" not in y:
            raise ValueError(
                f"A loss or metric of `{output}` needs the label `target`, the target alone "
                f"(batch, samples, 2). Received: y with keys {sorted(y)}"
            )
        return self._truth_from_target(output, level_target(x, y), training)

    def _truth_from_target(self, output: str, target: Tensor, training: bool | None) -> Tensor:
        """Truth of an output, from the targets alone (batch, samples, 2) at the model's level."""
        if output == "prompt_semantics":
            return self.backbone.embed_target(target, training=training)
        return ops.stop_gradient(self.backbone.stft(target))

    def compute_metrics(
        self,
        x: Any,
        y: Any,
        y_pred: Mapping[str, Tensor],
        sample_weight: Any = None,
    ) -> dict[str, Any]:
        """Computes the scores: of the posterior, with the azimuths of target and interferer."""
        y = as_labels(y)
        azimuth = y["azimuth"]
        interferer = y.get("interferer_azimuth")
        if interferer is None:
            interferer = ops.full_like(azimuth, float("nan"))
        truth = ops.stack([azimuth, interferer], axis=-1)
        if self._scored_outputs is None:
            weights = output_weights(sample_weight, self.supervised_outputs)
            weights = weights["doa"] if isinstance(weights, dict) else weights
            return super().compute_metrics(x, truth, y_pred["doa"], weights)
        # Keras names scores by output where it sees several.
        prediction = {name: y_pred[name] for name in self.supervised_outputs}
        truths = {**prediction, "doa": truth}
        if set(self._scored_outputs) - {"doa"}:
            x, y = self.render(x, y)
            for name in set(self._scored_outputs) - {"doa"}:
                truths[name] = self.output_truth(name, x, y, y_pred, training=False)
        weights = output_weights(sample_weight, self.supervised_outputs)
        return super().compute_metrics(x, truths, prediction, weights)
