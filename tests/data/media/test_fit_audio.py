"""Keras fits from a tf.data.Dataset of recordings under every backend."""

import keras
import numpy as np
import pytest
import soundfile

from keras_avssan.data import make_audio_dataset


def test_keras_fits_from_recordings(tmp_path):
    pytest.importorskip("tensorflow")
    paths = [tmp_path / f"{number}.wav" for number in range(6)]
    for number, path in enumerate(paths):
        soundfile.write(path, np.full(1600, 0.5 if number % 2 else -0.5), 16000)
    dataset = make_audio_dataset(
        paths, [0, 1] * 3, batch_size=4, duration=0.1, cache=True, shuffle=True
    )
    model = keras.Sequential([keras.Input((1600,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss, metrics=["accuracy"])
    model.fit(dataset, epochs=5, verbose=0)
    assert model.evaluate(dataset, verbose=0, return_dict=True)["accuracy"] == 1.0
