"""Whether an audio encoder fits the network of AV-SSAN."""

from typing import Any

from keras_avssan._internal.frozen_layers import freeze_parts


def check_audio_encoder(audio_encoder: Any, sampling_rate: int) -> None:
    """Refuses an encoder of the mixture that does not fit, and builds one that is not built.

    Args:
        audio_encoder: Keras layer or model from mono audio (batch, samples) to embeddings
            (batch, t, d_A), or `None`.
        sampling_rate: Sampling rate of the network in hertz.

    Raises:
        ValueError: If there is none, it is for another sampling rate, or it returns embeddings of
            another shape.

    Example:
        >>> check_audio_encoder(LogMelEncoder(), 16000)
    """
    if audio_encoder is None:
        raise ValueError(
            "`audio_encoder` is needed unless `semantic_audio` is False. "
            "Received: audio_encoder=None"
        )
    rate = getattr(audio_encoder, "sampling_rate", sampling_rate)
    if rate != sampling_rate:
        raise ValueError(
            f"`audio_encoder` must be for the network's {sampling_rate} Hz. "
            f"Received: an encoder for {rate} Hz"
        )
    shape = audio_encoder.compute_output_shape((None, sampling_rate))
    if len(shape) != 3:
        raise ValueError(
            "`audio_encoder` must return embeddings of shape (batch, t, d_A); wrap others in "
            f"`keras_avssan.encoders.AudioEncoder`. Received: an encoder with output shape {shape}"
        )
    if not audio_encoder.built:
        audio_encoder.build((None, sampling_rate))
        freeze_parts(audio_encoder)
