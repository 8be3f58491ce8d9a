"""What is no path is refused by every converter."""

import pytest

from keras_avssan.encoders.converters import (
    convert_aisfx,
    convert_clip_huggingface,
    convert_vggish_tensorflow,
    convert_vggish_torch,
    convert_yamnet,
)

pytestmark = pytest.mark.backend_agnostic


@pytest.mark.parametrize("wrong", [3, True, ["a"], 0.5])
@pytest.mark.parametrize(
    ("convert", "name"),
    [
        (convert_yamnet, "source"),
        (convert_aisfx, "source"),
        (convert_clip_huggingface, "folder"),
        (convert_vggish_tensorflow, "checkpoint_path"),
        (convert_vggish_torch, "path_or_state_dict"),
        (lambda path: convert_vggish_torch({}, path), "pca_params_path"),
    ],
)
def test_what_is_no_path_is_refused(convert, name, wrong):
    with pytest.raises(TypeError, match=rf"`{name}` must be a path.*Received: {name}"):
        convert(wrong)
