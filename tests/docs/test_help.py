"""`help(batcher)`: how it is used, then the map of the code; its first example runs as it is."""

import pydoc
import textwrap

import batcher
from tests.docs.console import shell_of_its_own


def test_help_shows_use_and_then_the_map_and_the_public_classes() -> None:
    shown = pydoc.plain(pydoc.render_doc(batcher))
    places = [
        shown.index(text) for text in ("batcher.run_file(", "map of the code", "class Batcher(", "run_file(path")
    ]
    assert places == sorted(places)
    assert dir(batcher) == sorted(batcher.__all__)


def test_the_first_example_runs() -> None:
    paragraphs = (batcher.__doc__ or "").split("\n\n")
    first = next(number for number, text in enumerate(paragraphs) if text.startswith("    import batcher"))
    program = textwrap.dedent("\n\n".join(paragraphs[first : first + 2]))
    with shell_of_its_own() as shell:
        ran = shell.run_python(program)
    assert ran.exit == 0, ran.output
    assert ran.output.endswith("answered\n")
