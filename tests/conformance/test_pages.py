"""The pages of the docs whose fences need more than the default environment."""

import pytest

from test_docs import PAGES, fences, run_page

pytestmark = [
    pytest.mark.peers,
    # Lightning's advice about workers, of which these pages need none.
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    # A resumed run writes beside the one that it resumes.
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    # Lightning asks torch in a way that torch has deprecated.
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is dep:FutureWarning"),
    # Ignite imports all of torch.distributed.optim, which compiles with what torch has deprecated.
    pytest.mark.filterwarnings(r"ignore:`torch\.jit\.\w+` is deprecated:DeprecationWarning"),
]

MORE = [page for page in PAGES if any(fence.environment == "peers" for fence in fences(page))]


@pytest.mark.parametrize("page", MORE, ids=lambda page: page.name)
def test_page_runs_with_everything(page, tmp_path, monkeypatch):
    """A reader who has the libraries that a page is about gets what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["page"])
    # LightningCLI asks jsonargparse in a way that it has deprecated.
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    run_page(page, "peers")


def test_there_are_such_pages():
    """The test above is of something."""
    assert MORE
