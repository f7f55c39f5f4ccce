"""Try an installed wheel: run by `make wheel` in a fresh environment, outside the source tree."""

import json
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path


def main() -> None:
    """Check what only an installed package can get wrong, then do the main job once."""
    import cadence as cd

    package = Path(cd.__file__).parent
    assert "site-packages" in package.parts, f"not the installed package: {package}"
    assert (package / "py.typed").is_file()
    assert metadata.version("cadence") == cd.__version__
    assert "torch" not in sys.modules
    assert "matplotlib" not in sys.modules

    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    plan = cd.parse("Warmup(5%) >> Cosine(end=0.1)")
    scheduler = cd.Scheduler(optimizer, lr=plan, total_steps=100)
    for step in range(100):
        assert optimizer.param_groups[0]["lr"] == scheduler.value_at(step)
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
        scheduler.step()
    assert abs(optimizer.param_groups[0]["lr"] - 3e-5) < 1e-18

    command = str(Path(sys.executable).parent / "cadence")
    text = "Warmup(5%) >> Cosine(end=0.1)"
    values = subprocess.run(
        [command, "values", text, "--total-steps", "100", "--format", "json"],
        check=True,
        capture_output=True,
    )
    assert json.loads(values.stdout)
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "plan.png")
        plot = [command, "plot", text, "--total-steps", "100", "-o", str(picture)]
        subprocess.run(plot, check=True, capture_output=True)
        assert picture.read_bytes().startswith(b"\x89PNG")
    print(f"The wheel of cadence {cd.__version__} works from {package}")


if __name__ == "__main__":
    main()
