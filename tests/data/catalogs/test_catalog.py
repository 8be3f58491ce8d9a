import pickle

import numpy as np
import pytest

from keras_avssan.data import SyntheticClasses
from keras_avssan.data.catalogs.array_cache import ArrayCache

pytestmark = pytest.mark.backend_agnostic


def test_select_narrows_classes_and_splits(catalog):
    view = catalog.select(classes=["dog", "bell"], split="val")
    assert view.classes == ("bell", "dog")
    assert {item.split for item in (*view.clips, *view.pictures)} == {"val"}
    assert set(view.clips) < set(catalog.clips)
    assert len(catalog.classes) == 8, "the catalog itself is left as it was"


def test_select_names_what_it_does_not_know(catalog):
    with pytest.raises(ValueError, match=r"bell.*dog.*Received: classes=\('tiger',\)"):
        catalog.select(classes=["dog", "tiger"])
    with pytest.raises(ValueError, match="train.*Received: split='dev'"):
        catalog.select(split="dev")
    with pytest.raises(ValueError, match=r"Received: classes=\(\)"):
        catalog.select(classes=[])


def test_audio_and_images_are_read_once_and_are_read_only(catalog):
    audio = catalog.load_audio(catalog.clips[0])
    assert catalog.select(split="train").load_audio(catalog.clips[0]) is audio
    assert catalog.load_image(catalog.pictures[0], 32) is catalog.load_image(
        catalog.pictures[0], (32, 32)
    )
    with pytest.raises(ValueError, match="read-only"):
        audio[0] = 0.0


def test_a_pickled_catalog_is_light_and_gives_the_same():
    catalog = SyntheticClasses(instances_per_class=4)
    audio = catalog.load_audio(catalog.clips[0])
    content = pickle.dumps(catalog)
    assert len(content) < 20_000 < audio.nbytes
    copy = pickle.loads(content)
    np.testing.assert_array_equal(copy.load_audio(copy.clips[0]), audio)


def test_the_cache_forgets_the_least_recently_used():
    cache = ArrayCache(max_bytes=20)
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda: np.zeros(10, "uint8"))
    made = []
    for key in ("a", "b"):
        cache.get(key, lambda key=key: made.append(key) or np.zeros(10, "uint8"))
    assert made == ["b"]
    assert cache.num_bytes == 20


def test_the_cache_keeps_nothing_that_is_too_large():
    cache = ArrayCache(max_bytes=5)
    assert cache.get("a", lambda: np.ones(10, "uint8")).sum() == 10
    assert cache.num_bytes == 0
    with pytest.raises(ValueError, match="cache_bytes"):
        ArrayCache(-1)
