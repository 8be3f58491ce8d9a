"""Catalogs of sounds and pictures, scene plans, rendering, and datasets for training."""

from keras_avssan.data.audio_io import read_audio
from keras_avssan.data.catalog import Catalog, Clip, Picture
from keras_avssan.data.class_folders import ClassFolders
from keras_avssan.data.dataset import make_dataset
from keras_avssan.data.engines import run_units
from keras_avssan.data.folder_check import check_folders, write_metadata
from keras_avssan.data.folder_report import FolderReport
from keras_avssan.data.image_io import read_image
from keras_avssan.data.leaks import Leak, find_leaks
from keras_avssan.data.rendering import render_scene, render_scenes
from keras_avssan.data.scene_batches import SceneBatches
from keras_avssan.data.scene_plan import Scene, ScenePlan
from keras_avssan.data.synthetic import SyntheticClasses

__all__ = [
    "Catalog",
    "ClassFolders",
    "Clip",
    "FolderReport",
    "Leak",
    "Picture",
    "Scene",
    "SceneBatches",
    "ScenePlan",
    "SyntheticClasses",
    "check_folders",
    "find_leaks",
    "make_dataset",
    "read_audio",
    "read_image",
    "render_scene",
    "render_scenes",
    "run_units",
    "write_metadata",
]
