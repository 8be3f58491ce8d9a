"""Losses, optimizer and one step of training."""

import torch
import torch.nn.functional as F

from torch_reference.network import NUM_DIRECTIONS
from torch_reference.spectra import level_gain, power

CLIP_NORM = 5.0  # of each gradient
RECONSTRUCTION_WEIGHT = 5.0


def direction_loss(doa, azimuth, sigma=5.0):
    """Cross-entropy with the normalised label exp(-|Δ| / σ), (batch,)."""
    grid = torch.arange(1, NUM_DIRECTIONS + 1, device=doa.device)
    label = torch.softmax(-(grid - azimuth[:, None]).abs() / sigma, dim=-1)
    return -(label * torch.log(doa + 1e-7)).sum(dim=-1)


def compress(spectrum, exponent=0.3):
    """Raises every magnitude to a power."""
    return spectrum * (power(spectrum) + 1e-6).pow(0.5 * (exponent - 1.0))


def reconstruction_loss(masked, clean):
    """Mean squared error of the real and imaginary parts after compression, (batch,)."""
    return 0.5 * power(compress(masked) - compress(clean)).mean(dim=(1, 2, 3))


def alignment_loss(prompts, targets, temperature=0.1):
    """Contrast of every prompt with all targets and of every target with all prompts, (batch,)."""
    similarity = F.normalize(prompts, dim=-1) @ F.normalize(targets, dim=-1).T / temperature
    pairs = torch.arange(len(similarity), device=similarity.device)
    by_prompt = F.cross_entropy(similarity, pairs, reduction="none")
    by_target = F.cross_entropy(similarity.T, pairs, reduction="none")
    return 0.5 * (by_prompt + by_target)


def training_loss(network, outputs, batch):
    """Loss of a batch: a dict with `audio`, `target` (batch, samples, 2) and `azimuth` (batch,)."""
    target = batch["target"].transpose(1, 2) * level_gain(batch["audio"])
    loss = direction_loss(outputs["doa"], batch["azimuth"])
    clean = network.stft(target)
    loss = loss + RECONSTRUCTION_WEIGHT * reconstruction_loss(outputs["masked"], clean)
    semantics = network.embed_target(target)
    return (loss + alignment_loss(outputs["prompt_semantics"], semantics)).mean()


def make_optimizer(network, learning_rate=3e-3):
    """AdamW in one kernel for all weights."""
    return torch.optim.AdamW(
        network.parameters(), learning_rate, weight_decay=1e-4, eps=1e-7, fused=True
    )


def clip_gradients(parameters):
    """Clips the norm of each gradient by itself."""
    gradients = [parameter.grad for parameter in parameters]
    norms = torch.stack(torch._foreach_norm(gradients))
    factors = (CLIP_NORM / norms).clamp(max=1.0)
    torch._foreach_mul_(gradients, list(factors.unbind()))


def loss_of(network, batch):
    """Forward pass and loss."""
    outputs = network(batch["audio"], batch["prompt_embedding"])
    return training_loss(network, outputs, batch)


def training_step(network, optimizer, batch, loss_function=loss_of):
    """One step; returns the loss, on the device."""
    optimizer.zero_grad(set_to_none=True)
    loss = loss_function(network, batch)
    loss.backward()
    clip_gradients(network.parameters())
    optimizer.step()
    return loss.detach()
