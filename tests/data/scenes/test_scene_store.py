"""Training scenes that are rendered once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_avssan.data import SceneBatches, ScenePlan
from keras_avssan.data.scenes import scene_files
from keras_avssan.data.scenes.scene_files import SceneStore

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def plan(catalog, bank):
    return ScenePlan(catalog, bank, split="train", duration=0.1, seed=4)


@pytest.fixture
def rendered(monkeypatch):
    """Indices of the scenes that were rendered."""
    indices, render = [], scene_files.render_scenes

    def note(plan, scenes, **kwargs):
        indices.extend(scene.index for scene in scenes)
        return render(plan, scenes, **kwargs)

    monkeypatch.setattr(scene_files, "render_scenes", note)
    return indices


def vectors(plan):
    return {picture.id: np.full(3, i) for i, picture in enumerate(plan.pictures)}


def batches_of(store, plan, count=70, size=10):
    return list(
        store.make_dataset(plan, count, size, prompt="embedding", prompt_embeddings=vectors(plan))
    )


def test_batches_are_those_of_the_plan(plan, tmp_path):
    kept = batches_of(SceneStore(tmp_path, plan, 1e9), plan)
    fresh = SceneBatches(plan, 70, 10, prompt="embedding", prompt_embeddings=vectors(plan))
    assert len(kept) == len(fresh) == 7
    for (inputs, labels), expected in zip(kept, map(fresh.__getitem__, range(7)), strict=True):
        assert list(inputs) == list(expected[0]) and list(labels) == list(expected[1])
        for got, wanted in ((inputs, expected[0]), (labels, expected[1])):
            for name, array in wanted.items():
                assert got[name].dtype == array.dtype
                np.testing.assert_allclose(got[name], array, rtol=1e-3, atol=1e-5, err_msg=name)


def test_what_was_rendered_is_read_by_the_next(plan, tmp_path, rendered):
    first = batches_of(SceneStore(tmp_path, plan, 1e9), plan)
    assert sorted(rendered) == list(range(128))  # two files of 64
    rendered.clear()
    again = batches_of(SceneStore(tmp_path, plan, 1e9), plan)
    assert not rendered
    np.testing.assert_array_equal(first[6][0]["audio"], again[6][0]["audio"])


def test_beyond_the_limit_the_values_are_the_same(plan, tmp_path, rendered):
    one_file = 64 * 2 * 2 * 1600 * 2
    limited = SceneStore(tmp_path / "limited", plan, one_file)
    whole = SceneStore(tmp_path / "whole", plan, 1e9)
    for name in ("audio", "target"):
        np.testing.assert_array_equal(
            limited.read([3, 63, 64, 65])[name], whole.read([3, 63, 64, 65])[name]
        )
    assert len(list((tmp_path / "limited").iterdir())) == 1
    rendered.clear()
    limited.read([1, 70])
    assert rendered == [70]
    limited.delete()
    assert not (tmp_path / "limited").exists()


def test_a_damaged_file_is_rendered_anew(plan, tmp_path):
    store = SceneStore(tmp_path, plan, 1e9)
    before = store.read([5])["audio"]
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    np.testing.assert_array_equal(store.read([5])["audio"], before)


def test_threads_render_a_file_once(plan, tmp_path, rendered):
    store = SceneStore(tmp_path, plan, 1e9)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: store.read([i]), range(8)))
    assert len(rendered) == 64
