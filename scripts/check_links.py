"""Follows the links between the pages of a site, to the places in them, too.

`python scripts/check_links.py FOLDER` reads every page of the folder and prints the links that
lead nowhere, and the pictures, scripts and styles that come from another site. Other sites are not
asked.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# rustdoc checks the links of its own pages, many of whose places are made by a script; the theme's
# files are no pages.
UNREAD = {"rust", "_static"}


@dataclass
class Page(HTMLParser):
    """What a page refers to, and the names of its places."""

    links: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)  # what it is not whole without
    places: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in the attributes of one element."""
        for name, value in attrs:
            if name in {"href", "src"} and value is not None:
                self.links.append(value)
                if tag != "a":
                    self.parts.append(value)
            elif name == "id" or (name == "name" and tag == "a"):
                self.places.add(value or "")


def read(folder: Path) -> dict[Path, Page]:
    """Read the pages of a site."""
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        if path.relative_to(folder).parts[0] not in UNREAD:
            pages[path] = Page()
            pages[path].feed(path.read_text(encoding="utf-8"))
    return pages


def broken(pages: Mapping[Path, Page]) -> Iterator[str]:
    """Name the links that lead nowhere."""
    for path, page in pages.items():
        for part in page.parts:
            if urlsplit(part).netloc:
                yield f"{path}: {part}: the page needs a network"
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if not target.is_file():
                yield f"{path}: {link}: there is no such file"
            elif (
                parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].places
            ):
                yield f"{path}: {link}: there is no such place in the page"


def main() -> int:
    """Print what is wrong, or how much was checked."""
    pages = read(Path(sys.argv[1]).resolve())
    errors = list(broken(pages))
    for error in errors:
        print(error, file=sys.stderr)
    count = sum(len(page.links) for page in pages.values())
    print(f"{count} links of {len(pages)} pages, {len(errors)} of them broken")
    return 1 if errors or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
