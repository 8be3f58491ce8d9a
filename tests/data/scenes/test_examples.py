import doctest
import importlib
import pkgutil

import numpy as np
import pytest

from keras_avssan import data

pytestmark = pytest.mark.backend_agnostic

MODULES = [module.name for module in pkgutil.iter_modules(data.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_docstrings_hold(name):
    module = importlib.import_module(f"{data.__name__}.{name}")
    names = {"np": np, **vars(data), **vars(module)}
    for example in doctest.DocTestFinder().find(module, globs=names):
        result = doctest.DocTestRunner(verbose=False).run(example)
        assert result.failed == 0, example.name
