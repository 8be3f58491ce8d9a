"""Changes to AV-SSAN's network, each an additional row in Table 2 of `benchmark`.

Run it with `keras-avssan benchmark --table 2 --data FOLDER --size small
--systems-from benchmarks/network_variants.py --systems avssan_base scaled cues mask both`.
"""

from functools import partial

from keras_avssan.benchmark import System
from keras_avssan.benchmark.systems import make_avssan

_VARIANTS = {
    "scaled": ("β from scaled scores", {"scale_relevance": True}),
    "cues": ("magnitudes beside the spatial cues", {"magnitude": "cues"}),
    "mask": ("magnitudes beside Z′ in the mask", {"magnitude": "mask"}),
    "both": ("both", {"magnitude": "both"}),
    "both_scaled": ("both, β from scaled scores", {"magnitude": "both", "scale_relevance": True}),
}

SYSTEMS = [
    System(name, f"`base`, {title}", "audio-visual", partial(make_avssan, **changes))
    for name, (title, changes) in _VARIANTS.items()
]
