"""The command `train`: resumption, the files it leaves, and its errors."""

import functools
import importlib.util
import os
import signal

import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan import AVSSAN, training
from keras_avssan.cli.main import main
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder, PictureTextEncoder
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def bank_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    bank = RIRBank.build(
        3, ranges=RoomRanges(t60=(0.2, 0.25)), sources_per_room=2, max_duration=0.02, progress=False
    )
    bank.save(path)
    return path


@pytest.fixture
def command(bank_path, tmp_path, monkeypatch):
    """A training of four steps of a tiny network."""

    def make(configuration, image_encoder, audio_encoder, **network):
        audio_encoder = LogMelEncoder(8, (4,))
        if image_encoder is None:
            image_encoder = ConvImageEncoder(8, (4,), (16, 16))
        else:  # alignment takes frozen encoders
            audio_encoder.trainable = False
        parts = {"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1}
        parts |= {"image_encoder": image_encoder, "audio_encoder": audio_encoder}
        model = AVSSAN(**parts, **network)
        model.compile = functools.partial(model.compile, run_eagerly=True)  # for a few steps
        return model

    monkeypatch.setattr("keras_avssan.AVSSAN", make)
    arguments = ["train", "--out", str(tmp_path / "model"), "--bank", str(bank_path)]
    arguments += ["--duration", "0.2", "--steps", "4", "--epochs", "1", "--batch-size", "2"]
    return [*arguments, "--classes", "dog", "rain", "--checkpoint-every", "2"]


@pytest.fixture
def during(monkeypatch):
    """`during(step, function)`: calls `function(model)` after a step of the next training."""
    fit = training.fit_scenes

    def arrange(step, function):
        class Callback(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if batch + 1 == step:
                    function(self.model)

        def fit_with(model, plan, **options):
            return fit(model, plan, validation_scenes=2, callbacks=[Callback()], **options)

        monkeypatch.setattr(training, "fit_scenes", fit_with)

    return arrange


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    command, during, tmp_path, capsys, interruptible
):
    during(3, lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert main(command) == 130
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-avssan train: stopped after step 3 of 4")
    assert "same call or command resumes from there" in line
    assert os.listdir(tmp_path) == ["model.checkpoints"]
    # Other options are refused, in one line.
    assert main([*command, "--learning-rate", "0.1"]) == 2
    assert "`learning_rate`" in capsys.readouterr().err.splitlines()[-1]
    steps = []
    during(1, lambda model: steps.append(int(model.optimizer.iterations)))
    assert main([*command, "--keep-checkpoints"]) == 0
    assert steps == [4]
    assert sorted(os.listdir(tmp_path)) == ["model", "model.checkpoints"]
    assert "saved" in capsys.readouterr().out
    lines = (tmp_path / "model.checkpoints" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "1", "2", "3", "4"]
    assert main(command) == 2
    assert "`--out` must not exist yet" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_ends_with_2_in_one_line(command, during, tmp_path, capsys):
    def spoil(model):
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        model.trainable_variables[-1].assign(np.full(model.trainable_variables[-1].shape, np.nan))

    during(3, spoil)
    assert main([*command, "--checkpoints", str(tmp_path / "kept")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("keras-avssan train: error: The loss is nan at step 4: scenes 6 to 7")
    assert os.listdir(tmp_path) == ["kept"]
    names = ["config.json", "epochs.csv", "failed_batch.json", "log.csv", "step-00000002.npz"]
    names.append("training_record.json")
    assert sorted(os.listdir(tmp_path / "kept")) == names


@pytest.mark.extensive
def test_words_are_aligned_before_the_training(command, encoders, tmp_path, capsys):
    options = [*encoders, "--align-steps", "3", "--prompts", "picture", "text"]
    assert main([*command, *options]) == 0
    model = AVSSAN.from_preset(tmp_path / "model")
    encoder = model.backbone.image_encoder
    assert isinstance(encoder, PictureTextEncoder) and encoder.text_encoder.title == "words"
    # Zero at first, and nothing but the alignment trains it.
    assert np.abs(keras.ops.convert_to_numpy(encoder.text_projection.bias)).max() > 1e-4
    noise = np.random.default_rng(0).normal(size=(16000, 2))
    assert model.localize(noise, " Dog").shape == (1,)
    assert "--align-steps 3" in model.training_record.trainings[-1]["command"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--text-encoder", "nothing"], "`preset` must be the folder of a saved model"),
        (["--image-encoder", ""], "`--image-encoder` must not be empty"),
        (["--align-steps", "-1"], "`--align-steps` must be an integer"),
    ],
)
def test_wrong_options_of_words_end_with_2(change, message, command, encoders, tmp_path, capsys):
    assert main([*command, *encoders, *change]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="it is installed")
def test_tensorboard_that_is_not_installed_is_named(command, tmp_path, capsys):
    assert main([*command, "--tensorboard", str(tmp_path / "board")]) == 2
    assert "pip install tensorboard" in capsys.readouterr().err.splitlines()[-1]
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["a0.wav", "i0.png"])
def test_an_unreadable_file_names_the_command_that_leaves_it_out(
    command, tmp_path, capsys, class_folders, name
):
    for folder in (tmp_path / "classes").iterdir():
        (folder / name).write_bytes(b"nothing that can be read")
    command = [*command, "--data", str(tmp_path / "classes"), "--classes", "dog", "bell"]
    command += ["--split", "train", "--validation-split", "train"]
    assert main(command) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert name in error
    hint = f"`keras-avssan build folders {tmp_path / 'classes'} --write-metadata`"
    assert hint in error


@pytest.fixture
def class_folders(tmp_path):
    """Two classes of two recordings and two pictures each."""
    rng = np.random.default_rng(0)
    for class_name in ("dog", "bell"):
        folder = tmp_path / "classes" / class_name
        folder.mkdir(parents=True)
        for index in range(2):
            sound = 0.1 * rng.standard_normal(8000)
            soundfile.write(folder / f"a{index}.wav", sound, 16000)
            pixels = rng.integers(0, 255, (16, 16, 3), "uint8")
            Image.fromarray(pixels).save(folder / f"i{index}.png")
