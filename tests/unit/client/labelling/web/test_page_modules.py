"""The JavaScript modules of the page: what they import from each other."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from fedask.client.labelling import web

WEB = Path(web.__path__[0])
_IMPORT = re.compile(r'^import\s+(?:\{([^}]*)\}\s+from\s+)?"([^"]+)";', re.MULTILINE)
_EXPORT = re.compile(
    r"^export\s+(?:async\s+)?(?:function|class|const|let)\s+(\w+)", re.MULTILINE
)


def modules() -> dict[str, str]:
    """Return the source of each module by its name."""
    return {path.name: path.read_text() for path in (WEB / "static").glob("*.js")}


def imports(source: str) -> dict[str, set[str]]:
    """Return the names that a module imports, by the module they come from."""
    return {
        path.removeprefix("./"): {name.strip() for name in names.split(",") if name}
        for names, path in _IMPORT.findall(source)
    }


def order(sources: dict[str, str]) -> list[str]:
    """Return the modules, each after those that it imports."""
    graph = {name: set(imports(source)) for name, source in sources.items()}
    return list(TopologicalSorter(graph).static_order())


def unknown(sources: dict[str, str]) -> set[str]:
    """Return what is imported and not exported, as ``module.name``."""
    exports = {name: set(_EXPORT.findall(source)) for name, source in sources.items()}
    return {
        f"{path}.{name}"
        for source in sources.values()
        for path, names in imports(source).items()
        for name in names - exports.get(path, set())
    }


def test_no_module_of_the_page_imports_itself_by_way_of_others() -> None:
    assert order(modules())[-1] == "page.js"


def test_a_circle_of_modules_is_found() -> None:
    sources = modules()
    sources["element.js"] += 'import { show } from "./media.js";\n'
    with pytest.raises(CycleError):
        order(sources)


def test_every_name_that_a_module_imports_is_exported() -> None:
    assert unknown(modules()) == set()


def test_a_name_that_is_not_exported_is_found() -> None:
    sources = modules()
    sources["deck.js"] += 'import { drop } from "./media.js";\n'
    assert unknown(sources) == {"media.js.drop"}


def test_every_import_is_one_that_these_tests_can_read() -> None:
    for name, source in modules().items():
        lines = [line for line in source.splitlines() if re.match(r"import\b", line)]
        assert len(lines) == len(_IMPORT.findall(source)), name
        assert "import(" not in source, name
        assert not re.search(r"^export\s*[{*]", source, re.MULTILINE), name


def test_the_page_asks_for_every_module_at_once() -> None:
    template = (WEB / "templates" / "page.html").read_text()
    found = re.search(r"for name in \(([^)]*)\)", template)
    assert found is not None
    preloaded = {f"{name}.js" for name in re.findall(r'"(\w+)"', found[1])}
    assert preloaded == modules().keys() - {"page.js"}
