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
from keras_avssan.data.vggsound_ssl.build import build_vggsound_ssl
from keras_avssan.data.vggsound_ssl.catalog import VGGSoundSSL
from keras_avssan.data.vggsound_ssl.spatial import spatialise_clips
from keras_avssan.data.vggsound_ssl.spatial_clips import SpatialClips
from keras_avssan.data.vggsound_ssl.vggsound import VGGSound
from keras_avssan.data.video_io import (
    UnusableVideo,
    VideoFrame,
    read_video_audio,
    read_video_frames,
    write_video,
)

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
    "SpatialClips",
    "SyntheticClasses",
    "UnusableVideo",
    "VGGSound",
    "VGGSoundSSL",
    "VideoFrame",
    "build_vggsound_ssl",
    "check_folders",
    "find_leaks",
    "make_dataset",
    "read_audio",
    "read_image",
    "read_video_audio",
    "read_video_frames",
    "render_scene",
    "render_scenes",
    "run_units",
    "spatialise_clips",
    "write_metadata",
    "write_video",
]
