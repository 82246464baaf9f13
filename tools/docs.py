# SPDX-License-Identifier: GPL-2.0
"""Build the pages of Documentation/mm and the documentation of the kernel crate as HTML, and print the files to open.

A warning about one of our files is an error.
"""

import hashlib
import re

from build import blocks, build, make
from common import Failure, Progress, arguments, main, output
from tree import prepared, project_files

# The API documentation is that of this kernel, which `make test-fast` builds as well.
CONFIG = "uml"


def rustdoc(tree, name, *words):
    """Document the kernel crate as configuration `name` has it, which must be built; `words` are those of its build.

    Nothing is done unless one of our files or the toolchain changed.
    """
    obj = tree.root / name
    if not (obj / ".configured").exists():
        raise Failure(f"{name} is not configured")
    digest = hashlib.sha256((obj / ".configured").read_bytes())
    for path in sorted(path for path in tree.ours() if path.endswith(".rs")):
        digest.update(path.encode() + (tree.src / path).read_bytes())
    stamp = obj / ".rustdoc"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    # The documentation of the other crates takes minutes, and none of our files is in them.
    only = obj / "rustdoc-kernel"
    only.write_text('#!/bin/sh\ncase "$*" in *"--crate-name kernel "*) exec /usr/bin/rustdoc "$@";; esac\n')
    only.chmod(0o755)
    # The same words as in the build before: with other words, make would build everything again.
    result = output(make(tree, name, *words, f"RUSTDOC={only}", "rustdoc"))
    (tree.results / name).mkdir(parents=True, exist_ok=True)
    (tree.results / name / "rustdoc.log").write_text(result.stdout)
    wrong = [block for block in blocks(result.stdout, re.compile(r"^(warning|error)\b"))
             if "srctree/ link" in block or any(f"{path}:" in block for path in tree.ours())]
    if wrong or result.returncode:
        raise Failure("\n".join(wrong) or result.stdout[-2000:])
    stamp.write_text(digest.hexdigest())


def pages(tree):
    """Build the pages of Documentation/mm, and return the folder of the HTML."""
    obj = tree.root / "docs"
    obj.mkdir(exist_ok=True)
    # -E: Sphinx warns about a page only when it reads the page.
    result = output(["make", "-C", tree.src, f"O={obj}", "SPHINXDIRS=mm", "SPHINXOPTS=-E", "htmldocs"])
    (obj / "htmldocs.log").write_text(result.stdout)
    wrong = [line for line in result.stdout.splitlines() if any(f"{path}:" in line for path in project_files())]
    if wrong or result.returncode:
        raise Failure("\n".join(wrong) or result.stdout[-2000:])
    html = next(obj.glob("**/rust-mmu-notifiers.html")).parent
    for page in html.glob("rust-*.html"):
        page.write_text(linked(page.read_text(), {path.stem for path in html.glob("*.html")}))
    return html


def linked(text, names):
    """Make links of the paths of the pages `names` in the HTML `text`: Sphinx does so only if it builds all folders."""
    return re.sub(r"(?<![\w/])(?<!html\">)Documentation/mm/([\w-]+)\.rst",
                  lambda path: f'<a href="{path[1]}.html">{path[0]}</a>' if path[1] in names else path[0], text)


def run():
    with prepared() as tree:
        progress = Progress("htmldocs")
        html = pages(tree)
        progress.done("done")
        obj = build(tree, CONFIG)
        progress = Progress("rustdoc")
        rustdoc(tree, CONFIG)
        progress.done("done")
        print(f"pages: {html}/rust-mmu-notifiers.html\n"
              f"API:   {obj}/Documentation/output/rust/rustdoc/kernel/mm/mmu_notifier/index.html")


if __name__ == "__main__":
    main(run, arguments(__doc__))
