"""Supervised contrastive training of two projections on kept embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from keras_avssan._internal.types import Tensor
from keras_avssan._internal.unit_length import unit_length

TEMPERATURE = 0.1
ITEMS = 2  # of every class in a batch
MOST_CLASSES = 64  # in a batch
DROPOUT = 0.8  # of features of sounds and pictures
WORD_DROPOUT = 0.5
_WEIGHT_DECAY = 1e-2


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and scale of features, by which they are standardised before a projection.

    Args:
        mean: Mean of each feature, shape (d,).
        scale: By what each is divided, shape (d,).
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, each: bool = True) -> "Standardisation":
        """Statistics of features (n, d); one scale for all of them unless `each` has its own."""
        features = features.reshape(-1, features.shape[-1]).astype("float64")
        overall = np.std(features - (0.0 if each else features.mean(axis=0))) or 1.0
        scale = features.std(axis=0) + 0.01 * overall if each else np.full(len(features.T), overall)
        return cls(features.mean(axis=0), scale)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Standardises features, in float32."""
        return ((features - self.mean) / self.scale).astype("float32")

    def fold(self, kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        """Kernel and bias that act on the features as they are, as the given ones on these."""
        kernel = kernel / self.scale[:, None]
        return [kernel, bias - self.mean @ kernel]


@dataclass(frozen=True, eq=False)
class Side:
    """Features of sounds, pictures or words, standardised (n, views, d), by class.

    `items[c]` are the rows of class `c`; `dropout` is the share of features left out in training.
    """

    features: np.ndarray
    items: list[np.ndarray]
    dropout: float

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int, dropout: float) -> "Side":
        """Groups features (n, d) or (n, views, d) by their labels (n,)."""
        items = [np.flatnonzero(labels == number) for number in range(classes)]
        views = features if features.ndim == 3 else features[:, None]
        return cls(views, items, dropout)

    def draw(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random item of each of the classes, with features left out: (labels, d)."""
        rows = [self.items[label][rng.integers(len(self.items[label]))] for label in labels]
        views = rng.integers(self.features.shape[1], size=len(rows))
        drawn = self.features[rows, views]
        kept = rng.random(drawn.shape, "float32") >= self.dropout
        return drawn * kept * np.float32(1.0 / (1.0 - self.dropout))


class ContrastiveNetwork(keras.Model):
    """Projections of sounds, pictures and words, and the contrastive loss between them.

    Args:
        dim: Dimension D of the common space.
        word_dim: Dimension of the projection of words to the features of pictures, or `None` where
            words have those features already.
        pictures: Standardisation of the pictures, which projected words pass too.
        picture_length: Length of the features of a picture before they are standardised.
        **kwargs: Arguments of `keras.Model`.

    Call arguments:
        inputs: Dict of standardised features of as many `sounds`, `pictures` and, optionally,
            `words`, `ITEMS` in a row of each class.

    Returns:
        Loss of each row, shape (batch,).
    """

    def __init__(
        self,
        dim: int,
        word_dim: int | None,
        pictures: Standardisation,
        picture_length: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        # Zeros, since the weights are drawn by NumPy, the same for every backend.
        dense = {"kernel_initializer": "zeros", "dtype": "float32"}
        self.sound = keras.layers.Dense(dim, **dense)
        self.prompt = keras.layers.Dense(dim, **dense)
        self.word = None if word_dim is None else keras.layers.Dense(word_dim, **dense)
        self.pictures = pictures
        self.picture_length = picture_length

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        sounds = unit_length(self.sound(inputs["sounds"]))
        pictures = unit_length(self.prompt(inputs["pictures"]))
        loss = cross_entropies(sounds, pictures) + cross_entropies(pictures, sounds)
        loss += 0.5 * (cross_entropies(sounds, sounds) + cross_entropies(pictures, pictures))
        if "words" in inputs:
            words = unit_length(self.prompt(self._as_pictures(inputs["words"])))
            loss += 0.5 * (cross_entropies(sounds, words) + cross_entropies(words, sounds))
        return loss

    def _as_pictures(self, words: Tensor) -> Tensor:
        """Features of words as standardised features of pictures."""
        if self.word is None:
            return words
        mean, scale = (
            ops.convert_to_tensor(one, "float32")
            for one in (self.pictures.mean, self.pictures.scale)
        )
        return (self.picture_length * unit_length(mean + self.word(words) * scale) - mean) / scale


def cross_entropies(queries: Tensor, keys: Tensor) -> Tensor:
    """Cross-entropy of each query with the keys of its class, which are equally right, (batch,).

    Both (batch, D) hold `ITEMS` rows of each class one after the other.
    """
    similarity = ops.matmul(queries, ops.transpose(keys)) / TEMPERATURE
    classes = np.arange(similarity.shape[0]) // ITEMS
    positive = ops.convert_to_tensor((classes[:, None] == classes) / ITEMS, "float32")
    return -ops.sum(positive * ops.log_softmax(similarity, axis=-1), axis=-1)


def draw_weights(network: ContrastiveNetwork, rng: np.random.Generator) -> None:
    """Draws the weights of the projections, uniform within one over the root of the inputs."""
    for layer in filter(None, (network.sound, network.prompt, network.word)):
        inputs = layer.kernel.shape[0]
        layer.set_weights(
            [rng.uniform(-1, 1, weight.shape) / np.sqrt(inputs) for weight in layer.weights]
        )


def train_contrast(
    network: ContrastiveNetwork,
    sides: Mapping[str, Side],
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    progress: bool = True,
) -> list[float]:
    """Trains the projections; returns the loss of every step."""
    rng = np.random.default_rng(seed)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    network.compile(
        keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY, epsilon=1e-8),
        loss=_mean_of_rows,
    )
    losses: list[float] = []
    classes = len(sides["sounds"].items)
    for step in tqdm(range(steps), desc="alignment", unit="step", disable=not progress):
        drawn = rng.permutation(classes)[:MOST_CLASSES]
        labels = np.repeat(drawn, ITEMS)
        batch = {name: side.draw(labels, rng) for name, side in sides.items()}
        if not step:
            network(batch)  # builds the layers
            draw_weights(network, rng)
        network.reset_metrics()  # which would average over the steps
        losses.append(float(network.train_on_batch(batch, np.zeros(len(labels), "float32"))))
    if not np.isfinite(losses).all():
        raise ValueError(
            "`learning_rate` must keep the loss of the alignment finite. "
            f"Received: learning_rate={learning_rate}"
        )
    return losses


def _mean_of_rows(truth: Tensor, losses: Tensor) -> Tensor:
    return ops.mean(losses)
