import subprocess
import sys

import pytest

FORBIDDEN = {"torch", "sqlite3", "matplotlib", "sklearn", "ray", "scipy", "pandas"}
PROGRAM = """
import sys
import flwr.clientapp
before = set(sys.modules)
import {module}
print(*sorted(set(sys.modules) - before))
"""


def imported_by(module: str) -> set[str]:
    """Return what a module brings beyond what ``flwr.clientapp`` does."""
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    done = subprocess.run(  # noqa: S603  (our own text)
        command, capture_output=True, text=True, check=True, timeout=50
    )
    return set(done.stdout.split())


def roots(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_the_client_app_brings_nothing_heavy_and_nothing_of_the_server() -> None:
    modules = imported_by("fedask.client.app")

    assert roots(modules) & FORBIDDEN == set()
    ours = {module for module in modules if module.startswith("fedask.")}
    assert ours
    assert not [m for m in ours if m.startswith(("fedask.server", "fedask.simulat"))]
    assert (
        not {"fedask.client.learning.training.learner", "fedask.client.round.device"}
        & ours
    )


@pytest.mark.parametrize(
    "module",
    ["fedask.client.store.sqlite.store", "fedask.client.labelling.oracles.file_oracle"],
)
def test_a_labelling_process_needs_no_model(module: str) -> None:
    assert not roots(imported_by(module)) & (FORBIDDEN - {"sqlite3"})


def test_the_table_of_kinds_brings_no_model_and_nothing_optional() -> None:
    found = roots(imported_by("fedask.client.data.sources.source"))

    assert found & {"torch", "PIL", "pyarrow"} == set()


def test_an_app_that_labels_brings_neither_flower_nor_a_model() -> None:
    command = [sys.executable, "-c"]
    program = "import sys, fedask.client.labelling.grpc.client; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603  (our own text)
        [*command, program], capture_output=True, text=True, check=True, timeout=50
    )

    assert not roots(set(done.stdout.split())) & (FORBIDDEN - {"sqlite3"} | {"flwr"})
