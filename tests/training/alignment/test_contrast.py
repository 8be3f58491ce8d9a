"""The contrastive loss and the standardisation, compared with their definitions."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.training.alignment.contrast import (
    ITEMS,
    ContrastiveNetwork,
    Side,
    Standardisation,
    cross_entropies,
    train_contrast,
)


def test_cross_entropies_follow_the_definition():
    rng = np.random.default_rng(0)
    queries, keys = (rng.normal(size=(6, 5)).astype("float32") for _ in range(2))
    found = ops.convert_to_numpy(cross_entropies(queries, keys))
    for row in range(6):
        logits = keys @ queries[row] / 0.1
        log_shares = logits - np.log(np.sum(np.exp(logits - logits.max()))) - logits.max()
        own = [k for k in range(6) if k // ITEMS == row // ITEMS]
        np.testing.assert_allclose(found[row], -np.mean(log_shares[own]), rtol=1e-4)


def test_a_folded_projection_acts_on_the_features_as_they_are():
    rng = np.random.default_rng(0)
    features = rng.normal(3.0, [0.1, 1.0, 10.0], size=(50, 3)).astype("float32")
    kernel, bias = rng.normal(size=(3, 2)), rng.normal(size=2)
    for each in (True, False):
        statistics = Standardisation.of(features, each=each)
        folded_kernel, folded_bias = statistics.fold(kernel, bias)
        np.testing.assert_allclose(
            features @ folded_kernel + folded_bias,
            statistics.apply(features) @ kernel + bias,
            atol=1e-4,
        )
    scale = Standardisation.of(features).scale
    np.testing.assert_allclose(scale, features.std(axis=0) + 0.01 * features.std(), rtol=1e-5)
    np.testing.assert_allclose(np.mean(Standardisation.of(features, each=False).scale), 5.8, atol=1)


def make_sides():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 4)
    features = (
        (rng.normal(size=(3, 10))[labels] + rng.normal(size=(12, 10))).astype("float32")
        for _ in range(3)
    )
    names = ("sounds", "pictures", "words")
    return {n: Side.of(f, labels, 3, 0.5) for n, f in zip(names, features, strict=True)}


def train_in_pytorch(sides, pictures, steps, rate, seed):
    """The same training by PyTorch's own layers, optimizer and schedule."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    rng = np.random.default_rng(seed)
    length, mean, scale = 2.0, *map(torch.tensor, (pictures.mean, pictures.scale))
    layers = [torch.nn.Linear(10, outputs).double() for outputs in (4, 4, 10)]
    sound, picture, word = layers
    parameters = [one for layer in layers for one in layer.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for step in range(steps):
        labels = np.repeat(rng.permutation(3), 2)
        batch = [torch.tensor(side.draw(labels, rng)).double() for side in sides.values()]
        for layer in layers if not step else ():
            for one in layer.parameters():
                shape = one.shape[::-1] if one.ndim == 2 else one.shape
                one.data = torch.tensor(rng.uniform(-1, 1, shape) / np.sqrt(10)).T
        as_pictures = functional.normalize(mean + word(batch[2]) * scale, dim=-1)
        as_pictures = (length * as_pictures - mean) / scale
        a, p, w = (
            functional.normalize(one, dim=-1)
            for one in (sound(batch[0]), picture(batch[1]), picture(as_pictures))
        )
        same = torch.tensor(labels[:, None] == labels).double()
        same = same / same.sum(1, keepdim=True)

        def ce(one, other, same=same):
            return -(same * functional.log_softmax(one @ other.T / 0.1, 1)).sum(1).mean()

        loss = ce(a, p) + ce(p, a) + 0.5 * (ce(a, a) + ce(p, p) + ce(a, w) + ce(w, a))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses, [one.detach().numpy().T for one in parameters]


def test_every_backend_trains_as_pytorch_does():
    rng = np.random.default_rng(3)
    pictures = Standardisation(rng.normal(size=10), rng.uniform(0.5, 2.0, size=10))
    network = ContrastiveNetwork(4, 10, pictures, 2.0)
    options = {"steps": 12, "learning_rate": 0.01, "seed": 2}
    losses = train_contrast(network, make_sides(), progress=False, **options)
    expected, weights = train_in_pytorch(make_sides(), pictures, 12, 0.01, 2)
    np.testing.assert_allclose(losses, expected, rtol=1e-3)
    layers = (network.sound, network.prompt, network.word)
    found = [weight for layer in layers for weight in layer.get_weights()]
    for one, other in zip(found, weights, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)
