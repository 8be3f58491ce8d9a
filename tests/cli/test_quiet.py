"""What other libraries write is kept away from an answer, and errors are not."""

import os
import signal
import subprocess
import sys

import pytest

import keras_avssan

pytestmark = pytest.mark.backend_agnostic

NOISE = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795936792.928416   11655 cudart_stub.cc:31] Could not find cuda drivers",
    "W0000 00:00:1795936792.928416   11655 service.cc:145] XLA service initialized",
    "E0000 00:00:1795936901.669345   11655 cuda_platform.cc:52] failed call to cuInit: INTERNAL",
    "2026-11-29 07:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This",
    "To enable the following instructions: AVX2, in other operations, rebuild TensorFlow with",
    "2026-11-29 07:00:00.123456: W tensorflow/core/framework/local_rendezvous.cc:407] Local",
]
ERRORS = [
    "E0000 00:00:1795936901.669345   11655 bfc_allocator.cc:5] Out of memory",
    "F0000 00:00:1795936901.669345   11655 pjrt.cc:5] Check failed: a == b",
    "2026-11-29 07:00:00.123456: E tensorflow/core/kernels/conv.cc:1] No algorithm worked",
    "Fatal Python error: Segmentation fault",
    "a line of anything else",
]
PROGRAM = """
import logging, os, sys, warnings
from keras_avssan.cli.quiet import quiet_libraries

def write(lines):
    os.write(2, "\\n".join(lines).encode())

with quiet_libraries("keras-avssan train"):
    write(NOISE + ERRORS + [""])
    logging.getLogger("absl").warning("of absl")
    logging.getLogger("jax").error("of jax")
    warnings.warn("of another library")
    exec(compile("import warnings; warnings.warn('of this\\\\nlibrary')", OWN, "exec"), {})
    print("own line", file=sys.stderr)
    write(ENDING)
print("after", file=sys.stderr)
"""


CRASH = """
import os
from keras_avssan.cli.quiet import quiet_libraries
with quiet_libraries("keras-avssan train"):
    os.write(2, b"I0000 00:00:1.1   1 a.cc:1] noise\\nF0000 why\\n")
    os.abort()
"""


def run(program, **variables):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**environment, **variables},
    )


def writing(ending="no end of line\n"):
    own = os.path.join(os.path.dirname(keras_avssan.__file__), "some.py")
    names = {"NOISE": NOISE, "ERRORS": ERRORS, "OWN": own, "ENDING": [ending]}
    return "".join(f"{name} = {value!r}\n" for name, value in names.items()) + PROGRAM


@pytest.mark.parametrize("ending", ["\n", ""])
def test_log_lines_are_dropped_and_errors_pass(ending):
    lines = run(writing(f"the end{ending}")).stderr
    assert lines.endswith(f"the end{ending}after\n")
    lines = lines.removesuffix(f"the end{ending}after\n").splitlines()
    own = ["of jax", "keras-avssan train: warning: of this library", "own line"]
    assert sorted(lines) == sorted([*ERRORS, *own])
    assert [line for line in lines if line in ERRORS] == ERRORS


def test_the_last_words_of_a_crash_pass():
    done = run(CRASH)
    assert done.returncode == -signal.SIGABRT and done.stderr == "F0000 why\n"


def test_everything_is_shown_on_request():
    shown = run(writing(), TF_CPP_MIN_LOG_LEVEL="0").stderr
    assert all(line in shown for line in NOISE + ERRORS) and "of absl" in shown
