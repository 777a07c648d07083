"""Records what torch, jax, optax and Keras answer where docs/coming-from.md compares with them.

Run as `python scripts/record_coming_from.py` in an environment that has them all; it writes
tests/data/coming_from.json, which tests/test_coming_from.py reads without them. Keras is asked
twice, on jax and on torch.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from coming_from.inputs import INF, INPUTS, Answers
from coming_from.of_jax import jax_answers
from coming_from.of_keras import keras_answers
from coming_from.of_torch import torch_answers

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "tests" / "data" / "coming_from.json"
PACKAGES = ("torch", "jax", "optax", "keras")
BACKENDS = ("jax", "torch")


def plain(value: Any) -> Any:  # noqa: ANN401
    """Write a value with numbers that are read back exactly."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        # JSON has no name for these.
        return value if abs(value) < INF else str(value)
    if isinstance(value, int):
        return value
    return plain(np.asarray(value).tolist())


def ask(library: str) -> Answers:
    """Ask one library, in a process of its own: jax and Keras are set up once for each."""
    name, _, backend = library.partition("/")
    environment = os.environ | {"KERAS_BACKEND": backend or "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "--ask", name]
    found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)  # noqa: S603
    answers: Answers = json.loads(found.stdout)
    return answers


def main() -> None:
    """Write the file, or the answers of one library."""
    makers = {"torch": torch_answers, "jax": jax_answers, "keras": keras_answers}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ask", choices=makers, help="print the answers of one library")
    chosen = parser.parse_args().ask
    if chosen:
        print(json.dumps(plain(makers[chosen]()), allow_nan=False))
        return
    libraries = ["torch", "jax", *(f"keras/{backend}" for backend in BACKENDS)]
    versions = {name: version(name).partition("+")[0] for name in PACKAGES}
    tables: dict[str, Any] = {"versions": versions, "inputs": plain(INPUTS)}
    tables |= {library: ask(library) for library in libraries}
    # One answer to a line, so that changes can be told apart.
    parts = [
        f"{json.dumps(title)}: {{\n"
        + ",\n".join(
            f"  {json.dumps(name)}: {json.dumps(item, allow_nan=False)}"
            for name, item in table.items()
        )
        + "\n}"
        for title, table in tables.items()
    ]
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8", newline="\n")
    counts = ", ".join(f"{library} {len(tables[library])}" for library in libraries)
    print(f"{OUTPUT.relative_to(ROOT)}: {counts}")


if __name__ == "__main__":
    main()
