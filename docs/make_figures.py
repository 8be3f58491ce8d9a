"""Draws the picture of the task into docs/images: `python docs/make_figures.py`."""

import argparse
import pathlib

from matplotlib.figure import Figure

from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.doa import encode_azimuth
from keras_avssan.simulation import RIRBank, Room
from keras_avssan.visualization import plot_posterior, plot_scene

IMAGES = pathlib.Path(__file__).parent / "images"
IMAGE_SIZE = 192


def room_of(plan, scene):
    """The room of a scene with its target and its interferer, in this order."""
    bank = plan.bank
    return Room(
        bank.room_sizes[scene.room],
        bank.t60[scene.room],
        bank.microphones[scene.room],
        bank.sources[scene.room][[scene.target_slot, scene.interferer_slot]],
    )


def draw_task(plan, scene):
    """A room seen from above, the prompt picture, and the label that a model learns."""
    figure = Figure(figsize=(9.0, 3.3), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1.25, 0.75, 1.35])
    names = [scene.target.class_name, scene.interferer.class_name]
    plot_scene(room_of(plan, scene), names, figure=left, title="two sounds in a room")
    axes = middle.subplots()
    axes.imshow(plan.catalog.load_image(scene.picture, IMAGE_SIZE))
    axes.set_axis_off()
    axes.set_title("where is this?", fontsize=10)
    label = encode_azimuth([scene.azimuth], normalize=True)
    plot_posterior(
        label[0],
        scene.azimuth,
        scene.interferer_azimuth,
        title="what a model should answer",
        figure=right,
    )
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", type=int, default=0, help="which scene of the test split")
    arguments = parser.parse_args()
    bank = RIRBank.build(num_rooms=16, seed=7, progress=False)
    plan = ScenePlan(SyntheticClasses(), bank, split="test", seed=7, min_separation=40.0)
    scene = plan[arguments.scene]
    IMAGES.mkdir(exist_ok=True)
    draw_task(plan, scene).savefig(IMAGES / "task.png", dpi=150)


if __name__ == "__main__":
    main()
