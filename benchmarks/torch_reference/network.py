"""The network, from audio and prompt embedding to posterior and mask."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from torch_reference.spectra import (
    HOP_LENGTH,
    NUM_BINS,
    STFT,
    LogMelEncoder,
    level_gain,
    power,
    spatial_cues,
)

NUM_DIRECTIONS = 180
NUM_CUES = 3
BANDS = {"fine": 32, "mid": 128, "full": NUM_BINS}  # bins of a patch
SPEED_OF_SOUND = 343.0  # metres a second
_EPSILON = 1e-3  # of the normalisations


class TransformerBlock(nn.Module):
    """Self-attention and an MLP, each normalised first and added to its input."""

    def __init__(self, dim, num_heads, mlp_dim):
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.mlp = mlp(dim, mlp_dim, dim)

    def forward(self, x):
        packed = self.query_key_value(self.attention_norm(x))
        heads = packed.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*heads)
        x = x + self.output(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.mlp_norm(x))


def mlp(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


class SemanticBridge(nn.Module):
    """Prompt (batch, d_V) and audio embeddings (batch, T, d_A) → semantic cue (batch, T, D)."""

    def __init__(self, prompt_dim, audio_dim, dim, num_layers, num_heads, mlp_dim):
        super().__init__()
        self.prompt = nn.Linear(prompt_dim, dim)
        self.audio = nn.Linear(audio_dim, dim)
        self.lp = nn.Linear(3 * dim, dim)
        blocks = [TransformerBlock(dim, num_heads, mlp_dim) for _ in range(num_layers)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)

    def project_prompt(self, prompt):
        scale = torch.rsqrt(prompt.square().mean(dim=-1, keepdim=True) + 1e-8)
        return self.prompt(prompt * scale)

    def forward(self, projected_prompt, audio):
        audio = self.audio(audio)
        prompt = projected_prompt[:, None].expand_as(audio)
        x = self.lp(torch.cat([prompt, audio, prompt * audio], dim=-1))
        return self.norm(self.blocks(x))


class SemanticSpatialAlignment(nn.Module):
    """Semantic cue (batch, T, D) asks the patches of one band type: Z (batch, T, D), β."""

    def __init__(self, width, dim, mlp_dim):
        super().__init__()
        self.width, self.patches = width, NUM_BINS // width
        self.convolutions = nn.Sequential(
            nn.Conv1d(width, dim, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv1d(dim, dim, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.query = nn.Parameter(dim**-0.5 * torch.randn(self.patches, dim, dim))
        inputs = NUM_CUES * dim
        shape = (self.patches, inputs, 2 * dim)
        self.key_value = nn.Parameter(inputs**-0.5 * torch.randn(shape))
        self.attention_norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.mlp = mlp(dim, mlp_dim, dim)
        self.output_norm = nn.LayerNorm(dim, eps=_EPSILON)

    def forward(self, semantics, cues):
        batch, _, _, frames = cues.shape
        x = cues[:, : self.patches * self.width].unflatten(1, (self.patches, self.width))
        x = x.transpose(2, 3).reshape(-1, self.width, frames)
        x = self.convolutions(x).view(batch, self.patches, -1, frames)  # (batch, n, 3 D, T)
        query = torch.einsum("btd,nde->bnte", semantics, self.query)
        key, value = torch.einsum("bnct,nce->bnte", x, self.key_value).chunk(2, dim=-1)
        attended = F.scaled_dot_product_attention(query, key, value)
        x = self.attention_norm(semantics[:, None] + attended)
        z = self.output_norm(x + self.mlp(x))
        relevance = (query.mean(dim=2, dtype=torch.float32) * key.mean(dim=2)).sum(dim=-1)
        beta = relevance.softmax(dim=-1)
        return torch.einsum("bn,bntd->btd", beta.to(z.dtype), z), beta


class SpatialRefiner(nn.Module):
    """Weighs the bands frame by frame and turns their sum into a mask (batch, T, F)."""

    def __init__(self, dim, mlp_dim):
        super().__init__()
        self.weights = mlp(len(BANDS) * dim, dim, len(BANDS))
        self.mask = mlp(dim, mlp_dim, NUM_BINS)

    def forward(self, bands):
        weights = self.weights(torch.cat(bands, dim=-1)).float().softmax(dim=-1)
        fused = (weights.to(bands[0].dtype)[:, :, None] @ torch.stack(bands, dim=2)).squeeze(2)
        return self.mask(fused).float().sigmoid(), weights


class MirroredConv1d(nn.Conv1d):
    """Nine directions wide, with mirrored padding at the axis of the microphones."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 9)

    def forward(self, x):
        # -3 … 0 degrees are as 3 … 0, and 0 as 1, the first of the grid; 181 … 184 as 179 … 176.
        before = torch.cat([x[..., :3].flip(-1), x[..., :1]], dim=-1)
        return super().forward(torch.cat([before, x, x[..., -5:-1].flip(-1)], dim=-1))


class DoAHead(nn.Module):
    """Spectrum, complex (batch, 2, F, T), and weights (batch, F, T) → posterior (batch, 180)."""

    def __init__(self, hidden_dim, num_bands=16, spacing=0.2, sampling_rate=16000):
        super().__init__()
        self.num_bands = num_bands
        hertz = torch.arange(1, NUM_BINS, dtype=torch.float64) * sampling_rate / (2 * NUM_BINS - 2)
        angle = torch.deg2rad(torch.arange(1, NUM_DIRECTIONS + 1, dtype=torch.float64))
        phase = 2 * math.pi * spacing / SPEED_OF_SOUND * hertz[:, None] * angle.cos()
        steering = torch.polar(torch.ones_like(phase), phase).unflatten(0, (num_bands, -1))
        # Re (a + jb) (cos φ - j sin φ) as one product of real matrices.
        steering = torch.cat([steering.real, steering.imag], dim=1).float()
        self.register_buffer("steering", steering, persistent=False)  # (bands, 2 bins, 180)
        position = torch.stack([angle.cos(), angle.sin()]).float()
        self.register_buffer("position", position, persistent=False)
        channels = hidden_dim // 4
        self.correction = nn.Sequential(
            MirroredConv1d(2 * num_bands + 3, channels),
            nn.ReLU(inplace=True),
            MirroredConv1d(channels, channels),
            nn.ReLU(inplace=True),
            MirroredConv1d(channels, 1),
        )
        for parameter in self.correction[-1].parameters():
            nn.init.zeros_(parameter)
        self.sharpness = nn.Parameter(torch.tensor(30.0))

    def forward(self, spectrum, weights):
        cross = spectrum[:, 0] * spectrum[:, 1].conj()
        phases = (cross * (power(cross) + 1e-20).rsqrt() * weights).mean(dim=-1)
        bands = [
            part[:, 1:].unflatten(1, (self.num_bands, -1))
            for part in (phases.real, phases.imag, weights.mean(dim=-1))
        ]
        phases = torch.cat(bands[:2], dim=2).transpose(0, 1)  # (bands, batch, 2 bins)
        response = torch.bmm(phases, self.steering).transpose(0, 1)  # (batch, bands, 180)
        weight = bands[2].sum(dim=-1, keepdim=True) + 1e-6
        total = weight.sum(dim=1, keepdim=True)
        full_band = response.sum(dim=1, keepdim=True) / total
        share = response * (self.num_bands / total)
        position = self.position.expand(len(spectrum), -1, -1)
        x = torch.cat([response / weight, share, full_band, position], dim=1)
        logits = self.sharpness * full_band + self.correction(x)
        return logits[:, 0].softmax(dim=-1)


class AVSSAN(nn.Module):
    """Localises the sound that an embedding asks for, in a two-microphone mix.

    Takes `audio` (batch, samples, 2) and `prompt` (batch, d_V); returns a dict with `doa`
    (batch, 180), `mask` (batch, T, F), `masked` (batch, 2, F, T) complex, `band_attention`,
    `band_weights` (batch, T, 3) and `prompt_semantics` (batch, D).
    """

    def __init__(self, prompt_dim, dim=64, mlp_dim=256, filters=(32, 64, 128)):
        super().__init__()
        self.stft = STFT()
        self.audio_encoder = LogMelEncoder(filters)
        self.bridge = SemanticBridge(prompt_dim, 128, dim, 2, 4, mlp_dim)
        self.alignments = nn.ModuleDict(
            {name: SemanticSpatialAlignment(width, dim, mlp_dim) for name, width in BANDS.items()}
        )
        self.refiner = SpatialRefiner(dim, mlp_dim)
        self.doa_head = DoAHead(mlp_dim)

    def forward(self, audio, prompt):
        audio = audio.transpose(1, 2)
        audio = audio * level_gain(audio)
        spectrum = self.stft(audio)
        prompt = self.bridge.project_prompt(prompt)
        # The embeddings have the frames of the spectrogram: nothing is to be aligned in time.
        semantics = self.bridge(prompt, self.audio_encoder(audio.mean(dim=1)))
        cues = spatial_cues(spectrum)
        bands, attention = [], {}
        for name, alignment in self.alignments.items():
            z, attention[name] = alignment(semantics, cues)
            bands.append(z)
        mask, weights = self.refiner(bands)
        turned = mask.transpose(1, 2)
        masked = spectrum * turned[:, None]
        with torch.autocast(audio.device.type, enabled=False):
            doa = self.doa_head(spectrum, turned.square())
        return {
            "doa": doa,
            "mask": mask,
            "masked": masked,
            "band_attention": attention,
            "band_weights": weights,
            "prompt_semantics": prompt.float(),
        }

    def embed_target(self, target):
        """How levelled targets (batch, 2, samples) sound, in the space of projected prompts."""
        embeddings = self.bridge.audio(self.audio_encoder(target.mean(dim=1)))
        return embeddings.mean(dim=1).float()


def num_frames(samples):
    """Frames T of a recording."""
    return 1 + samples // HOP_LENGTH
