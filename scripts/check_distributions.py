"""Checks the wheels and the sdist in a folder: names, sizes, contents, and that versions agree.

Whether the wheel's symbols are allowed is for auditwheel and abi3audit, its metadata for twine.
"""

import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LARGEST_WHEEL = 3_000_000  # bytes

# What a wheel holds beside its metadata, for any platform: the package as it lies here, but for the
# module that was built for tests.
PACKAGE = ROOT / "python" / "logitkit"
IN_WHEEL = {
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*")
    if path.suffix in {".py", ".pyi"} or path.name == "py.typed"
}
MODULE = re.compile(r"_core\.(abi3\.so|pyd|cpython-\w+-[\w-]+\.so|cp\w+-[\w-]+\.pyd)")
LICENCES = {"LICENSE-MIT", "LICENSE-APACHE"}

# What an sdist must hold, and what is too large or of no use to those who build from it.
IN_SDIST = {"PKG-INFO", "Cargo.toml", "Cargo.lock", "pyproject.toml", "PACKAGE.md", *LICENCES}
IN_SDIST |= {"src/lib.rs", *(f"python/logitkit/{name}" for name in IN_WHEEL)}
NOT_IN_SDIST = re.compile(r"\.(so|pyd|png|svg|json|gz)$|^(target|requirements|scripts|docs)/")


def version() -> str:
    """Give the version of Cargo.toml, which is the only one."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    number: str = manifest["package"]["version"]
    return number


def faults_of_wheel(wheel: Path) -> list[str]:
    """Say what is wrong with a wheel."""
    faults = []
    size = wheel.stat().st_size
    if size > LARGEST_WHEEL:
        faults.append(f"{size} bytes; at most {LARGEST_WHEEL} are wanted")
    name, number, _, abi, _ = wheel.stem.split("-")
    if (name, number) != ("logitkit", version()):
        faults.append(f"is {name} {number}, where Cargo.toml says {version()}")
    if abi != "abi3" and not abi.endswith("t"):
        faults.append(f"is for the ABI {abi}; abi3, or that of a free-threaded Python, is wanted")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {one.removeprefix("logitkit/") for one in names if one.startswith("logitkit/")}
    modules = {one for one in package if MODULE.fullmatch(one)}
    if package - modules != IN_WHEEL or len(modules) != 1:
        faults.append(f"holds {sorted(package)}; {sorted(IN_WHEEL)} and one module are wanted")
    licences = {one.rsplit("/", 1)[1] for one in names if "/licenses/" in one}
    if licences != LICENCES:
        faults.append(f"holds the licences {sorted(licences)}; {sorted(LICENCES)} are wanted")
    return faults


def faults_of_sdist(sdist: Path) -> list[str]:
    """Say what is wrong with an sdist."""
    top = f"logitkit-{version()}"
    if sdist.name != f"{top}.tar.gz":
        return [f"should be called {top}.tar.gz"]
    with tarfile.open(sdist) as archive:
        names = {one.removeprefix(f"{top}/") for one in archive.getnames()}
    missing, idle = IN_SDIST - names, [one for one in sorted(names) if NOT_IN_SDIST.search(one)]
    faults = [f"lacks {sorted(missing)}"] if missing else []
    return faults + ([f"holds {idle}, which nobody builds with"] if idle else [])


def main(folder: Path) -> int:
    """Print each distribution with its size and its faults; fail if there are any."""
    checked = [(one, faults_of_wheel(one)) for one in sorted(folder.glob("*.whl"))]
    checked += [(one, faults_of_sdist(one)) for one in sorted(folder.glob("*.tar.gz"))]
    for one, faults in checked:
        print(f"{one.name}: {one.stat().st_size:,} bytes", *faults, sep="\n  ")
    if not checked:
        print(f"no wheel and no sdist in {folder}: run make wheel")
    return not checked or any(faults for _, faults in checked)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
