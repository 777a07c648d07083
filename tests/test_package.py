"""The package as a whole: names and signatures, versions, types, and what it depends on."""

import importlib.metadata
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import logitkit

ROOT = Path(__file__).parent.parent
MANIFEST = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))

# What importing NumPy brings in already is NumPy's business.
HEAVY = ("scipy", "torch", "jax", "pandas", "matplotlib", "mpmath", "hypothesis", "pytest", "dask")

SIGNATURES = {
    "softmax": "(x, axis=-1, *, where=None, out=None)",
    "log_softmax": "(x, axis=-1, *, where=None, out=None)",
    "logsumexp": "(x, axis=-1, *, where=None, keepdims=False)",
    "sigmoid": "(x, *, out=None)",
    "log_sigmoid": "(x, *, out=None)",
    "softplus": "(x, *, out=None)",
    "softmax_vjp": "(probs, cotangent, axis=-1, *, out=None)",
    "log_softmax_vjp": "(log_probs, cotangent, axis=-1, *, out=None)",
    "cross_entropy": (
        "(logits, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None, "
        "label_smoothing=0.0, z_loss=0.0, reduction='mean')"
    ),
    "nll_loss": (
        "(log_probs, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None, "
        "reduction='mean')"
    ),
    "categorical_cross_entropy": (
        "(probs, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None, "
        "eps=0.0, reduction='mean')"
    ),
    "binary_cross_entropy": "(probs, targets, *, weight=None, eps=0.0, reduction='mean')",
    "binary_cross_entropy_with_logits": (
        "(logits, targets, *, weight=None, pos_weight=None, reduction='mean')"
    ),
    "linear": "(x, weight, bias=None)",
    "top_k": "(x, k, axis=-1)",
    "accuracy": "(scores, targets, *, k=1, axis=-1, ignore_index=None)",
    "perplexity": "(logits, targets, *, axis=-1, ignore_index=None)",
    "set_num_threads": "(n)",
    "get_num_threads": "()",
    "simd_level": "()",
    "Evaluation": "(*, k=(1, 5), bins=15, ignore_index=None, from_probs=False)",
    "fit_temperature": "(logits, targets, *, ignore_index=None)",
}
LOSSES = [name for name, signature in SIGNATURES.items() if "reduction" in signature]
SIGNATURES |= {f"{name}_and_grad": SIGNATURES[name].replace(")", ", out=None)") for name in LOSSES}
# Two have the Hessian besides.
HESSIANS = {"cross_entropy": "hessian='exact', ", "binary_cross_entropy_with_logits": ""}
SIGNATURES |= {
    f"{name}_and_grad_hess": SIGNATURES[name].replace(")", f", {more}out=None)")
    for name, more in HESSIANS.items()
}


# Names


def test_the_names_are_those_of_the_contract() -> None:
    assert sorted(logitkit.__all__) == sorted([*SIGNATURES, "__version__"])


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    function = getattr(logitkit, name)
    assert callable(function)
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    bare = signature.replace(parameters=parameters, return_annotation=signature.empty)
    assert str(bare) == SIGNATURES[name]
    assert function.__name__ == name
    assert function.__module__.split(".")[0] == "logitkit"


def test_no_other_public_names() -> None:
    """Nothing that is imported for the package's own use looks like a part of it."""
    public = {
        name
        for name, value in vars(logitkit).items()
        # Another test may have imported a module of the package, which becomes a name of it.
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(SIGNATURES)


# Versions


def test_one_version() -> None:
    version = MANIFEST["package"]["version"]
    assert version == logitkit.__version__ == importlib.metadata.version("logitkit")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    assert version in [p["version"] for p in locked["package"] if p["name"] == "logitkit"]


def test_metadata() -> None:
    metadata = importlib.metadata.metadata("logitkit")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == MANIFEST["package"]["license"] == "MIT OR Apache-2.0"
    required = importlib.metadata.requires("logitkit") or []
    always = [one for one in required if "extra ==" not in one]
    assert [re.split(r"[<>=!~ ;]", one)[0] for one in always] == ["numpy"]


def test_types_are_shipped() -> None:
    folder = Path(logitkit.__file__).parent
    assert (folder / "py.typed").is_file()
    assert (folder / "_core.pyi").is_file()


# Dependencies


def test_importing_brings_in_nothing_but_numpy() -> None:
    code = "import numpy, sys; before = set(sys.modules); import logitkit; "
    code += "logitkit.softmax([1.0, 2.0]); print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {module.split(".")[0] for module in run.stdout.split()}
    assert "logitkit" in loaded
    assert not loaded & set(HEAVY)
    assert loaded <= {"logitkit", "numpy", *sys.stdlib_module_names}


def dependencies(*options: str) -> set[str]:
    """Give the crates that `cargo tree` lists."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not on the PATH")
    command = ["cargo", "tree", "--locked", "-e", "normal", "--prefix", "none", *options]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {line.split()[0] for line in run.stdout.splitlines() if line.strip()}


def test_the_crate_alone_has_no_python() -> None:
    crates = dependencies()
    assert {"logitkit", "ndarray", "rayon"} <= crates
    assert not [name for name in crates if re.search("pyo3|numpy|python", name)]


def test_the_bindings_are_a_feature() -> None:
    assert {"pyo3", "numpy"} <= dependencies("--features", "python")
    assert not MANIFEST["features"].get("default")


def test_panics_unwind() -> None:
    """With `panic = "abort"`, a panic would take the interpreter with it."""
    for profile in MANIFEST.get("profile", {}).values():
        assert profile.get("panic", "unwind") == "unwind"
