"""Fail if a built page names another host anywhere a browser, or a reader's click, would follow."""

import re
import sys
from pathlib import Path

REFERENCE = re.compile(
    r"""<[a-z]+\b[^>]*?\b(?:src|srcset|href|action|data|poster)\s*=\s*["']?\s*(?:https?:)?//[^"'\s>]+"""
    r"""|url\(\s*["']?(?:https?:)?//[^)]*\)"""
    r"""|@import\s+["'](?:https?:)?//[^"']*""",
    re.IGNORECASE,
)


def references(folder: Path) -> list[str]:
    """List every reference to another host in the pages and style sheets of a folder."""
    pages = sorted(path for path in folder.rglob("*") if path.suffix in {".html", ".css", ".svg"})
    if not pages:
        sys.exit(f"{folder} holds no page: build the docs first")
    return [
        f"{page}: {found.group()[:160]}"
        for page in pages
        for found in REFERENCE.finditer(page.read_text(encoding="utf-8"))
    ]


if __name__ == "__main__":
    outside = references(Path(sys.argv[1]))
    print(*outside, sep="\n", end="\n" if outside else "")
    print(f"{len(outside)} references to other hosts in {sys.argv[1]}")
    sys.exit(bool(outside))
