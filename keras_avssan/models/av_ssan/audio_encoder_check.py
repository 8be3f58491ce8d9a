"""Check of the audio encoder of AV-SSAN's network."""

import keras

from keras_avssan._internal.frozen_layers import freeze_parts


def check_audio_encoder(audio_encoder: keras.Layer | None, sampling_rate: int) -> None:
    """Refuses a missing encoder, or one of another rate or output shape; builds one not built."""
    if audio_encoder is None:
        raise ValueError(
            "`audio_encoder` must be given unless `semantic_audio` is False. "
            "Received: audio_encoder=None"
        )
    if not isinstance(audio_encoder, keras.Layer):
        raise TypeError(
            "`audio_encoder` must be a Keras layer or model from mono audio to embeddings. "
            f"Received: audio_encoder={audio_encoder!r}"
        )
    rate = getattr(audio_encoder, "sampling_rate", sampling_rate)
    if rate != sampling_rate:
        raise ValueError(
            f"`audio_encoder` must have the network's sampling rate, {sampling_rate} Hz. "
            f"Received: audio_encoder.sampling_rate={rate}"
        )
    shape = audio_encoder.compute_output_shape((None, sampling_rate))
    if len(shape) != 3:
        raise ValueError(
            "`audio_encoder` must return embeddings of shape (batch, t, d_A); wrap others in "
            "`keras_avssan.encoders.AudioEncoder`. "
            f"Received: audio_encoder={audio_encoder!r} with output shape {tuple(shape)}"
        )
    if not audio_encoder.built:
        audio_encoder.build((None, sampling_rate))
        freeze_parts(audio_encoder)
