"""Runs scripts of this folder one after the other, so that the backend is loaded once for all.

Each line of the input is a JSON list, a script's name and its arguments. It is answered by `DONE`,
or by `FAILED` if the script has raised an error.
"""

import json
import pathlib
import runpy
import sys
import traceback

import keras_avssan.models.baselines  # noqa: F401  (loads the backend while the tests prepare)

FOLDER = pathlib.Path(__file__).parent
DONE, FAILED = "The script has ended.", "The script has failed."


def main():
    for line in sys.stdin:
        script, *arguments = json.loads(line)
        sys.argv[:] = [script, *arguments]
        try:
            runpy.run_path(str(FOLDER / script), run_name="__main__")
        except Exception:
            traceback.print_exc()
            print(FAILED, flush=True)
        else:
            print(DONE, flush=True)


if __name__ == "__main__":
    main()
