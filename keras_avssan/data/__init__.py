"""Catalogs of sounds and pictures, scene plans, rendering, and datasets for training."""

from keras_avssan.data.audio_dataset import make_audio_dataset
from keras_avssan.data.audio_io import read_audio
from keras_avssan.data.augmentation import Augmentation
from keras_avssan.data.catalog import Catalog, Clip, Picture
from keras_avssan.data.class_folders import ClassFolders
from keras_avssan.data.dataset import make_dataset
from keras_avssan.data.engines import run_units
from keras_avssan.data.folder_check import check_folders, write_metadata
from keras_avssan.data.folder_report import FolderReport
from keras_avssan.data.image_io import read_image
from keras_avssan.data.leaks import Leak, find_leaks
from keras_avssan.data.microphone_pair import MicrophonePair
from keras_avssan.data.picture_folders import PictureFolders
from keras_avssan.data.rendering import load_dry_scenes, render_scene, render_scenes
from keras_avssan.data.scene_batches import SceneBatches
from keras_avssan.data.scene_plan import Scene, ScenePlan
from keras_avssan.data.scene_shards import read_scenes, write_scenes
from keras_avssan.data.scene_source import SceneSource
from keras_avssan.data.segment import Segment, SegmentSource
from keras_avssan.data.segment_prompts import SegmentPrompts, read_class_map
from keras_avssan.data.starss23 import STARSS23
from keras_avssan.data.starss23_events import STARSS23_CLASSES, Events, read_events
from keras_avssan.data.synthetic import SyntheticClasses
from keras_avssan.data.tf_audio import read_audio_tf
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
    "Augmentation",
    "Catalog",
    "ClassFolders",
    "Clip",
    "Events",
    "FolderReport",
    "Leak",
    "MicrophonePair",
    "Picture",
    "PictureFolders",
    "STARSS23",
    "STARSS23_CLASSES",
    "Scene",
    "SceneBatches",
    "ScenePlan",
    "SceneSource",
    "Segment",
    "SegmentPrompts",
    "SegmentSource",
    "SpatialClips",
    "SyntheticClasses",
    "UnusableVideo",
    "VGGSound",
    "VGGSoundSSL",
    "VideoFrame",
    "build_vggsound_ssl",
    "check_folders",
    "find_leaks",
    "load_dry_scenes",
    "make_audio_dataset",
    "make_dataset",
    "read_audio",
    "read_audio_tf",
    "read_class_map",
    "read_events",
    "read_image",
    "read_scenes",
    "read_video_audio",
    "read_video_frames",
    "render_scene",
    "render_scenes",
    "run_units",
    "spatialise_clips",
    "write_metadata",
    "write_scenes",
    "write_video",
]
