"""Names for types that annotations repeat."""

import os
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]
# Tensors of any backend, symbolic ones and NumPy arrays; Keras has no type for all of them.
Tensor: TypeAlias = Any
# Sizes of axes; `None` where a size is not known.
Shape: TypeAlias = tuple[int | None, ...]


class DirectionModel(Protocol):
    """What an evaluation needs of a model: a `Localizer`, a classical method, or another."""

    def predict_on_batch(self, inputs: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Outputs of a batch, with the posteriors `doa` (batch, 180)."""
