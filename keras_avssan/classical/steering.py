"""Cross-spectra of a pair and their response to the directions of the grid, in real arithmetic."""

from keras import ops

_SILENCE = 1e-20  # squared magnitude of a cross-spectrum, 100 dB below a recording of unit power


def phase_transform(real, imaginary):
    """Gives every bin of a cross-spectrum the magnitude one; silent bins stay near zero.

    Args:
        real: Real part, any shape.
        imaginary: Imaginary part, same shape.

    Returns:
        Tuple of real and imaginary part.
    """
    gain = ops.rsqrt(ops.square(real) + ops.square(imaginary) + _SILENCE)
    return real * gain, imaginary * gain


def steered_response(real, imaginary, phase):
    """Mean over the bins of Re G(f) exp(-jφ(f, θ)).

    Args:
        real: Real part of the cross-spectrum, shape (batch, F).
        imaginary: Imaginary part, same shape.
        phase: Phases that the directions have, shape (batch, F, 180), or (1, F, 180) for all.

    Returns:
        Tensor of shape (batch, 180).
    """
    response = real[..., None] * ops.cos(phase) + imaginary[..., None] * ops.sin(phase)
    return ops.mean(response, axis=1)
