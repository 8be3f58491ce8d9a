"""Names for types that annotations repeat."""

import os
from typing import Any, TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]
# Tensors of any backend, symbolic ones and NumPy arrays; Keras has no type for all of them.
Tensor: TypeAlias = Any
# Sizes of axes; `None` where a size is not known.
Shape: TypeAlias = tuple[int | None, ...]
