"""What the tests of the main job share."""
import pytest

from harness import work_folder


@pytest.fixture(scope="module")
def folder():
    with work_folder() as path:
        yield path
