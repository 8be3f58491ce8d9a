"""Front end: short-time Fourier transforms, spatial cues, log-mel bands."""

import math

import torch
from torch import nn

FRAME_LENGTH = 1024  # samples
HOP_LENGTH = 512  # samples
NUM_BINS = FRAME_LENGTH // 2 + 1


def power(spectrum):
    """Squared magnitude; `abs` would take a root first."""
    return spectrum.real.square() + spectrum.imag.square()


def level_gain(audio):
    """Gain (batch, 1, 1) that brings audio (batch, channels, samples) to unit power."""
    return torch.rsqrt(audio.square().mean(dim=(1, 2), keepdim=True) + 1e-10)


class STFT(nn.Module):
    """(..., samples) → complex (..., F, T), with a Hann window of unit energy."""

    def __init__(self):
        super().__init__()
        window = torch.hann_window(FRAME_LENGTH, dtype=torch.float64)
        window = window / window.square().sum().sqrt()
        self.register_buffer("window", window.float(), persistent=False)

    def forward(self, audio):
        spectrum = torch.stft(
            audio.flatten(0, -2),
            FRAME_LENGTH,
            HOP_LENGTH,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        )
        return spectrum.unflatten(0, audio.shape[:-1])


def spatial_cues(spectrum, epsilon=1e-4, level_scale=0.1):
    """Cosine and sine of the phase difference, and level difference: (batch, F, 3, T)."""
    first, second = spectrum.unbind(1)
    first_power, second_power = power(first) + epsilon**2, power(second) + epsilon**2
    cross = first * second.conj() * torch.rsqrt(first_power * second_power)
    level = 10.0 / math.log(10.0) * level_scale * torch.log(first_power / second_power)
    return torch.stack([cross.real, cross.imag, level], dim=2)


def mel_matrix(num_mels, sampling_rate):
    """Triangular filters (F, num_mels) on the mel scale, from 60 Hz on."""

    def to_mel(hertz):
        return 1127.0 * torch.log1p(torch.as_tensor(hertz, dtype=torch.float64) / 700.0)

    highest = 0.975 * sampling_rate / 2
    edges = torch.linspace(to_mel(60.0), to_mel(highest), num_mels + 2, dtype=torch.float64)
    bins = torch.linspace(0.0, sampling_rate / 2, NUM_BINS, dtype=torch.float64)
    bins = to_mel(bins)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0.0).float()


class LogMelEncoder(nn.Module):
    """Mono audio (batch, samples) → one embedding a frame (batch, T, dim)."""

    def __init__(self, filters=(32, 64, 128), num_mels=64, dim=128, sampling_rate=16000):
        super().__init__()
        self.stft = STFT()
        self.register_buffer("mel", mel_matrix(num_mels, sampling_rate), persistent=False)
        self.input_norm = nn.BatchNorm1d(num_mels, eps=1e-3)
        blocks, bins, channels = [], num_mels, 1
        for number, width in enumerate(filters):
            factor = 4 if number == 0 else 2
            blocks.append(
                nn.Sequential(
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width, eps=1e-3),
                    nn.ReLU(inplace=True),
                    nn.MaxPool2d((1, factor)),
                )
            )
            bins, channels = bins // factor, width
        self.blocks = nn.Sequential(*blocks)
        self.projection = nn.Linear(channels * bins, dim)

    def forward(self, audio):
        # Under autocast, too: a sum of squares and its logarithm want float32.
        with torch.autocast(audio.device.type, enabled=False):
            mel = torch.log(power(self.stft(audio)).transpose(1, 2) @ self.mel + 1e-3)
        x = self.input_norm(mel.transpose(1, 2)).transpose(1, 2)
        x = self.blocks(x[:, None])  # (batch, channels, T, bins)
        return self.projection(x.transpose(1, 2).flatten(2))
