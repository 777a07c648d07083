"""Writes the formulas of docstrings in TeX.

A docstring is read in a terminal, so its formulas are plain text in literal blocks; the site sets
them as formulas. What they may hold is what is written here; anything else is an error, so that no
formula is set wrongly without notice.
"""

import re
from collections.abc import Iterator

# Set upright: names that are more than one letter.
FUNCTIONS = {"log", "exp", "max"}
NAMES = {
    "accuracy",
    "grad",
    "hess",
    "log1p",
    "log_probs",
    "log_sigmoid",
    "log_softmax",
    "log_softmax_vjp",
    "logsumexp",
    "lse",
    "perplexity",
    "pos_weight",
    "sigmoid",
    "softmax",
    "softmax_vjp",
    "softplus",
    "weight",
}
# English between the formulas.
WORDS = {"are", "at", "class", "else", "index", "kept", "probabilities", "right", "rows", "that"}
WORDS |= {"with"}
SIGNS = {"Σ": r"\sum", "ε": r"\varepsilon", "ζ": r"\zeta", "²": "^2", "·": r"\cdot"}

TOKEN = re.compile(
    rf"(?P<name>(?:{'|'.join(sorted(NAMES | FUNCTIONS, key=len, reverse=True))})(?![A-Za-z]))"
    rf"| *(?P<word>(?:{'|'.join(sorted(WORDS))})(?![A-Za-z])) *"
    r"|(?P<letter>[A-Za-z]'?(?![A-Za-z]))"
    r"|_(?P<below>[a-z]+)"
    rf"|(?P<sign>[{''.join(SIGNS)}])"
    r"|(?P<plain>[-+=/()\[\]|,:0-9])"
    r"|(?P<space> +)"
)
# Some of a line's parts stand under one another: they are set apart by spaces.
COLUMNS = re.compile(r" {2,}")


def with_math(lines: list[str]) -> Iterator[str]:
    """Put math directives in the place of a docstring's literal blocks."""
    block: list[str] | None = None
    for line in [*lines, ""]:
        if block is not None and (line.startswith(" ") or not (line or block)):
            block += [line.strip()] if line else []
            continue
        if block is not None:
            yield from [".. math::", "", f"   {tex(block)}", ""]
            block = None
        if line.endswith("::") and not line.startswith(".. "):
            block = []
            yield from [line[:-1], ""]
        else:
            yield line


def tex(lines: list[str]) -> str:
    """Write the lines of a block in TeX, their formulas under one another."""
    split = [[cell(text) for text in COLUMNS.split(line)] for line in lines]
    if len(split) == 1:
        return r" \qquad ".join(split[0])
    # After a label and a formula, what is left of a line would be too far to the right.
    rows = [
        row for label, first, *rest in split for row in ((label, first), *(("", r) for r in rest))
    ]
    body = r" \\ ".join(" & ".join(row) for row in rows)
    return rf"\begin{{array}}{{ll}} {body} \end{{array}}"


def cell(text: str) -> str:
    """Write one formula in TeX."""
    # TeX has spaces of its own round these.
    text = re.sub(r" *([-+=,/\[\]]) *", r"\1", text)
    parts: list[str] = []
    place = 0
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None:
            message = f"{text[place:]!r} in the formula {text!r} is not known to docs/formulas.py"
            raise ValueError(message)
        parts.append(_token(found))
        place = found.end()
    # Words that follow one another share their spaces; the first needs none before it.
    joined = "".join(parts).replace(r" }\text{ ", " ")
    return re.sub(r"^\\text\{ ", r"\\text{", joined)


def _token(found: re.Match[str]) -> str:
    text = found.group(found.lastgroup or 0)
    escaped = text.replace("_", r"\_")
    written = {
        "name": rf"\{text} " if text in FUNCTIONS else rf"\mathrm{{{escaped}}}",
        "word": rf"\text{{ {text} }}",
        "below": rf"_{{{text}}}",
        "sign": SIGNS.get(text, "") + " ",
        "space": r"\,",
    }
    return written.get(found.lastgroup or "", text)
