"""Checkpoints of Hugging Face: the same embeddings as `transformers`, and named errors."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from keras import ops

from keras_avssan.encoders import CLIPEncoder, CLIPTextTokenizer
from keras_avssan.encoders.converters import convert_clip_huggingface

torch = pytest.importorskip("torch", reason="the reference model runs in PyTorch")
transformers = pytest.importorskip("transformers", reason="the reference model comes from there")
safetensors_torch = pytest.importorskip("safetensors.torch")

MERGES = ["d o", "do g</w>", "c a", "ca t</w>", "b a", "ba r", "bar k", "i n", "in g</w>"]
TEXTS = ["a dog", "Two CATS barking!", "", "the  dog sings 42 arias — with a café in between"]
LENGTH = 24
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


def make_reference(hidden_act="quick_gelu", image_size=32, patch_size=8, vision_dim=32):
    """A random CLIP of `transformers` whose weights are large enough to distinguish inputs."""
    blocks = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": hidden_act}
    tokens = 512 + len(MERGES) + 2
    config = transformers.CLIPConfig(
        text_config={
            **blocks,
            "hidden_size": 32,
            "intermediate_size": 48,
            "vocab_size": tokens,
            "max_position_embeddings": LENGTH,
            "bos_token_id": tokens - 2,
            "eos_token_id": tokens - 1,
        },
        vision_config={
            **blocks,
            "hidden_size": vision_dim,
            "intermediate_size": 40,
            "image_size": image_size,
            "patch_size": patch_size,
        },
        projection_dim=12,
    )
    model = transformers.CLIPModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.3 * noise + (parameter == 1.0))
    return model


def save_reference(model, folder):
    """Writes the files of a CLIP repository of Hugging Face."""
    model.save_pretrained(folder)
    tokenizer = CLIPTextTokenizer(MERGES)
    vocabulary = json.dumps(tokenizer.vocabulary)
    (folder / "vocab.json").write_text(vocabulary, encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]), encoding="utf-8")
    preprocessor = {"image_mean": MEAN, "image_std": STD, "do_resize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")


@pytest.fixture(scope="module")
def reference():
    return make_reference()


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip_huggingface")
    save_reference(reference, folder)
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return convert_clip_huggingface(folder)


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the checkpoint, to be spoilt."""
    return pathlib.Path(shutil.copytree(folder, tmp_path / "copy"))


def reference_tokens():
    tokenizer = CLIPTextTokenizer(MERGES)
    merges = [tuple(rule.split(" ")) for rule in MERGES]
    return transformers.CLIPTokenizer(vocab=tokenizer.vocabulary, merges=merges)


def reference_embeddings(model, images, texts, mean=MEAN, std=STD):
    """Embeddings of unit length of pictures (n, H, W, 3) in [0, 1] and of texts."""
    pixels = (images - np.array(mean, "float32")) / np.array(std, "float32")
    tokens = reference_tokens()(
        texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
    )
    with torch.no_grad():
        outputs = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()),
        )
    return outputs.image_embeds.numpy(), outputs.text_embeds.numpy()


def make_images(size):
    return np.random.default_rng(0).uniform(size=(3, size, size, 3)).astype("float32")


def assert_same_as_reference(encoder, model, **normalisation):
    images = make_images(encoder.image_size[0])
    pictures, words = reference_embeddings(model, images, TEXTS, **normalisation)
    assert np.abs(pictures[0] - pictures[1]).max() > 0.01
    assert np.abs(words[0] - words[1]).max() > 0.01
    np.testing.assert_allclose(ops.convert_to_numpy(encoder(images)), pictures, atol=1e-4)
    with pytest.warns(UserWarning, match="'the dog sings 42 arias"):
        embeddings = encoder.embed_text(TEXTS)
    np.testing.assert_allclose(embeddings, words, atol=1e-4)


# --- embeddings ------------------------------------------------------------------------------


@pytest.mark.one_backend
def test_the_same_embeddings_as_transformers(encoder, reference):
    assert encoder.image_size == (32, 32)
    assert encoder.trainable_variables == []
    assert_same_as_reference(encoder, reference)


@pytest.mark.one_backend
def test_other_sizes_activation_and_normalisation(tmp_path):
    model = make_reference("gelu", image_size=30, patch_size=10, vision_dim=24)
    save_reference(model, tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    published = {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
    }
    assert_same_as_reference(convert_clip_huggingface(tmp_path), model, **published)


@pytest.mark.backend_agnostic
def test_the_scale_of_the_logits_is_kept(encoder, reference):
    scale = ops.convert_to_numpy(encoder.backbone.clip_head.logit_scale)
    np.testing.assert_allclose(scale, reference.logit_scale.item(), atol=1e-6)


@pytest.mark.backend_agnostic
def test_a_converted_encoder_becomes_a_preset(encoder, reference, tmp_path):
    encoder.save_to_preset(tmp_path)
    restored = CLIPEncoder.from_preset(tmp_path, mean=MEAN, std=STD)
    assert_same_as_reference(restored, reference)


@pytest.mark.backend_agnostic
def test_from_preset_takes_the_folder_too(folder, reference):
    assert_same_as_reference(CLIPEncoder.from_preset(folder), reference)
    random = CLIPEncoder.from_preset(folder, load_weights=False, trainable=True, name="clip")
    assert (random.name, random.trainable) == ("clip", True)


# --- forms of a checkpoint -------------------------------------------------------------------


@pytest.mark.backend_agnostic
def test_a_checkpoint_in_parts(reference, folder, tmp_path):
    save_reference(reference, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    reference.save_pretrained(tmp_path, max_shard_size="50KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert_same_as_reference(convert_clip_huggingface(tmp_path), reference)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_checkpoints(dtype, reference, copy):
    half = {
        name: tensor.to(getattr(torch, dtype)).contiguous()
        for name, tensor in reference.state_dict().items()
        if not name.endswith("position_ids")
    }
    safetensors_torch.save_file(half, copy / "model.safetensors")
    encoder = convert_clip_huggingface(copy)
    kernel = encoder.backbone.vision_projection.kernel
    np.testing.assert_array_equal(
        ops.convert_to_numpy(kernel).T, half["visual_projection.weight"].float().numpy()
    )


@pytest.mark.backend_agnostic
def test_position_ids_of_older_checkpoints_are_passed_over(reference, copy):
    tensors = dict(safetensors_torch.load_file(copy / "model.safetensors"))
    tensors["text_model.embeddings.position_ids"] = torch.zeros(1, LENGTH, dtype=torch.int64)
    tensors["vision_model.embeddings.position_ids"] = torch.zeros(1, 17, dtype=torch.int64)
    safetensors_torch.save_file(tensors, copy / "model.safetensors")
    assert_same_as_reference(convert_clip_huggingface(copy), reference)


@pytest.mark.backend_agnostic
def test_older_spelling_of_the_configuration(reference, copy):
    config = json.loads((copy / "config.json").read_text())
    config["text_config_dict"] = config.pop("text_config")
    config["text_config"] = None
    config["vision_config_dict"] = None
    (copy / "config.json").write_text(json.dumps(config))
    assert_same_as_reference(convert_clip_huggingface(copy), reference)


@pytest.mark.backend_agnostic
def test_a_tokenizer_as_transformers_saves_it(reference, copy):
    (copy / "vocab.json").unlink()
    (copy / "merges.txt").unlink()
    reference_tokens().save_pretrained(copy)
    assert (copy / "tokenizer.json").is_file()
    assert_same_as_reference(convert_clip_huggingface(copy), reference)


@pytest.mark.backend_agnostic
def test_without_tokenizer_files_pictures_only(encoder, copy):
    (copy / "vocab.json").unlink()
    with pytest.raises(ValueError, match="without vocab.json"):
        convert_clip_huggingface(copy)
    (copy / "merges.txt").unlink()
    silent = convert_clip_huggingface(copy)
    assert silent.tokenizer is None
    images = make_images(32)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(silent(images)), ops.convert_to_numpy(encoder(images))
    )


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.backend_agnostic
def test_all_wrong_tensors_are_named_at_once(copy):
    tensors = dict(safetensors_torch.load_file(copy / "model.safetensors"))
    del tensors["text_projection.weight"]
    tensors["classifier.weight"] = torch.zeros(2, 2)
    tensors["visual_projection.weight"] = torch.zeros(12, 31)
    safetensors_torch.save_file(tensors, copy / "model.safetensors")
    with pytest.raises(ValueError, match="`folder` must hold the tensors") as error:
        convert_clip_huggingface(copy)
    message = str(error.value)
    assert "missing: text_projection.weight" in message
    assert "extra: classifier.weight" in message
    assert "visual_projection.weight (12, 31), expected (12, 32)" in message


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files_are_named(name, copy):
    (copy / name).unlink()
    with pytest.raises(ValueError, match=f"without {name}"):
        convert_clip_huggingface(copy)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json"])
def test_broken_files_are_named(name, copy):
    (copy / name).write_bytes(b"{broken")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        convert_clip_huggingface(copy)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        (None, "model_type", "siglip"),
        ("text_config", "hidden_act", "gelu_new"),
        ("vision_config", "hidden_act", "relu"),
        ("vision_config", "num_channels", 4),
        ("text_config", "layer_norm_eps", 1e-3),
    ],
)
def test_unsupported_configurations_are_named(part, key, value, copy):
    config = json.loads((copy / "config.json").read_text())
    (config if part is None else config[part])[key] = value
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"{key}.*{value}"):
        convert_clip_huggingface(copy)
