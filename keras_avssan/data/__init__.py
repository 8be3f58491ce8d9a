"""Catalogs of sounds and pictures, scene plans, rendering, and datasets for training."""

from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.data.catalogs.class_folders import ClassFolders
from keras_avssan.data.catalogs.picture_folders import PictureFolders
from keras_avssan.data.catalogs.synthetic_classes import SyntheticClasses
from keras_avssan.data.curation.check_folders import check_folders, write_metadata
from keras_avssan.data.curation.split_leaks import find_leaks
from keras_avssan.data.media.audio_dataset import make_audio_dataset
from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.data.media.example_file import example_file
from keras_avssan.data.media.image_io import read_image
from keras_avssan.data.media.tf_audio import read_audio_tf
from keras_avssan.data.scenes.make_dataset import make_dataset
from keras_avssan.data.scenes.rendering import render_scene, render_scenes
from keras_avssan.data.scenes.scene import Scene, SceneSource
from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.data.scenes.scene_files import read_scenes, write_scenes
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.data.starss23.annotations import STARSS23_CLASSES
from keras_avssan.data.starss23.segment_batches import SegmentBatches
from keras_avssan.data.starss23.segment_prompts import SegmentPrompts
from keras_avssan.data.starss23.starss23 import STARSS23
from keras_avssan.data.vggsound_ssl.build import build_vggsound_ssl
from keras_avssan.data.vggsound_ssl.catalog import VGGSoundSSL
from keras_avssan.data.vggsound_ssl.spatial_clips import SpatialClips
from keras_avssan.data.vggsound_ssl.spatialise_clips import spatialise_clips
from keras_avssan.data.vggsound_ssl.vggsound import VGGSound

__all__ = [
    "Catalog",
    "ClassFolders",
    "Clip",
    "Picture",
    "PictureFolders",
    "STARSS23",
    "STARSS23_CLASSES",
    "Scene",
    "SceneBatches",
    "ScenePlan",
    "SceneSource",
    "SegmentBatches",
    "SegmentPrompts",
    "SpatialClips",
    "SyntheticClasses",
    "VGGSound",
    "VGGSoundSSL",
    "build_vggsound_ssl",
    "check_folders",
    "example_file",
    "find_leaks",
    "make_audio_dataset",
    "make_dataset",
    "read_audio",
    "read_audio_tf",
    "read_image",
    "read_scenes",
    "render_scene",
    "render_scenes",
    "spatialise_clips",
    "write_metadata",
    "write_scenes",
]
