from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from keras_avssan.tracking import Track
from keras_avssan.visualization import plot_explanation

pytestmark = pytest.mark.backend_agnostic


def titles(figure):
    return [
        title
        for axes in figure.axes
        for loc in ("left", "center")
        if (title := axes.get_title(loc))
    ]


def test_composes_all_that_the_model_tells(explanation, target_audio, tmp_path):
    figure = plot_explanation(
        explanation, 42.0, 120.0, prompt=np.zeros((8, 8, 3)), target=target_audio, title="dog"
    )
    assert titles(figure) == [
        "prompt",
        "answer 40°, probability within 5°: 0.75",
        "mix",
        "mask",
        "masked mix",
        "target alone",
        "weight of each patch",
        "weight of each band type",
    ]
    assert figure.get_suptitle() == "dog"
    figure.savefig(tmp_path / "all.png")
    assert (tmp_path / "all.png").stat().st_size > 10_000


def test_leaves_out_what_was_not_given(explanation):
    explanation |= {"band_attention": {}, "band_weights": None}
    assert titles(plot_explanation(explanation)) == [
        "answer 40°, probability within 5°: 0.75",
        "mix",
        "mask",
        "masked mix",
    ]


def test_shows_the_models_own_answer_not_the_highest_bin(explanation):
    figure = plot_explanation(explanation | {"azimuth": 55.0})
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["predicted 55°"]


def test_takes_the_picture_that_was_asked_with_by_its_path(explanation, tmp_path):
    path = tmp_path / "dog.png"
    Image.new("RGB", (1024, 300), "red").save(path)
    (image,) = plot_explanation(explanation, prompt=path).axes[0].images
    assert image.get_array().shape == (150, 512, 3)  # no sharper than it is seen
    np.testing.assert_array_equal(image.get_array()[75, 256], (1, 0, 0))


@pytest.mark.parametrize("form", [Path.read_bytes, lambda path: open(path, "rb")])
def test_takes_the_picture_as_bytes_and_opened_too(form, explanation, tmp_path):
    Image.new("RGB", (1024, 300), "red").save(tmp_path / "dog.png")
    given = form(tmp_path / "dog.png")
    for _ in range(2):  # an opened file can be given once more
        (image,) = plot_explanation(explanation, prompt=given).axes[0].images
        assert image.get_array().shape == (150, 512, 3)
    with pytest.raises(ValueError, match="`prompt` is empty"):
        plot_explanation(explanation, prompt=b"")
    with pytest.raises(ValueError, match="`prompt` cannot be read as an image"):
        plot_explanation(explanation, prompt=b"no picture")


def test_refuses_a_prompt_that_is_no_picture(explanation):
    with pytest.raises(ValueError, match=r"`prompt` must have shape \(None, None, 3\)"):
        plot_explanation(explanation, prompt=np.zeros((8, 8)))


def test_a_track_is_below_the_posterior(explanation):
    many, some = np.full((8, 180), 1 / 180, "float32"), np.full(8, 0.5, "float32")
    times, gaps = np.arange(8) / 4, np.full(8, "")
    track = Track(times, 90 * some, some, some, many, many, some, gaps, 1.0, 0.25)
    figure = plot_explanation(explanation, 42.0, track=track)
    FigureCanvasAgg(figure).draw()
    half_circle, above, below, mix = figure.axes[:4]
    lines = {line.get_label(): line.get_ydata() for line in above.lines}
    np.testing.assert_array_equal(lines["predicted"], track.azimuth)
    np.testing.assert_array_equal(lines["target"], np.full(8, 42.0))
    assert below.get_ylabel() == "presence" and mix.get_title(loc="left") == "mix"
    boxes = [axes.get_window_extent() for axes in (half_circle, above, below, mix)]
    assert all(one.y0 >= other.y1 for one, other in zip(boxes, boxes[1:], strict=False))
    with pytest.raises(TypeError, match="`track` must be a `Track`"):
        plot_explanation(explanation, track=[40.0])


def test_names_a_missing_key(explanation):
    del explanation["confidence"]
    with pytest.raises(ValueError, match="`explanation` must hold 'confidence'"):
        plot_explanation(explanation)
