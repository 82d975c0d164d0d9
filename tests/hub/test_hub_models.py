"""Models from a hub: there, gated, absent, broken off, resumed, and without a network. In processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hub.server import Hub, Repository, of_folder, serve
from small_models import save_small_qwen

pytestmark = pytest.mark.effects
NAMES = ("whole", "gated", "absent", "broken", "odd")

# Loads each model as `train` and `eval` do. huggingface_hub goes on from the last whole piece, which is of 10 MB; here
# of 500 bytes. Its pauses between attempts are left out.
SCRIPT = """
import json, sys, time
from sparksmith.base.errors import SparksmithError
from sparksmith.model.libraries import settle_libraries
settle_libraries()
import torch
from sparksmith.model.load import load_model, load_tokenizer
import huggingface_hub.file_download as downloads
downloads.time.sleep = lambda seconds: None
downloads.constants.DOWNLOAD_CHUNK_SIZE = 500
for name in sys.argv[1:]:
    began = time.monotonic()
    try:
        tokenizer, model = load_tokenizer(name), load_model(name, dtype=torch.float32)
        answer = {"tokens": len(tokenizer), "parameters": model.num_parameters()}
    except SparksmithError as error:
        answer = {"message": error.message, "hint": error.hint}
    print(json.dumps({**answer, "seconds": time.monotonic() - began}), flush=True)
"""


def load(home: Path, address: str, *names: str, **environment: str) -> list[dict]:
    """What became of each name, in one process with a hub's cache in `home`."""
    clean = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names], capture_output=True, text=True, timeout=120, check=False,
        env={**clean, **settings, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Repository:
    return of_folder(save_small_qwen(tmp_path_factory.mktemp("model")))


def test_a_hub_that_answers_and_then_does_not(model, tmp_path):
    weights = "model.safetensors"
    odd = Repository({**model.files, "config.json": b'{"model_type": "of no such architecture"}'})
    hub = Hub(
        models={"we/whole": model, "we/gated": replace(model, gated=True), "we/broken": model, "we/odd": odd},
        broken={f"we/whole/{weights}": [1000, 2000], f"we/broken/{weights}": [1000, -1]},
    )
    home = tmp_path / "hub"
    with serve(hub):
        found, gated, absent, broken, odd = load(home, hub.address, *(f"we/{name}" for name in NAMES))
        assert found["parameters"] > 10_000 and found["tokens"] > 256
        assert hub.downloads(f"we/whole/{weights}") == [None, "bytes=1000-", "bytes=3000-"]
        (stored,) = home.glob(f"hub/models--we--whole/snapshots/*/{weights}")
        assert stored.read_bytes() == model.files[weights]
        assert odd["message"].startswith("the model we/odd cannot be loaded: ")
        assert odd["hint"] == f"look at {hub.address}/we/odd"
        assert gated["message"] == "the model we/gated is gated on the hub"
        assert gated["hint"] == f"accept its terms at {hub.address}/we/gated, then: hf auth login"
        assert absent["message"] == "the hub has no model we/absent, or it is private"
        assert "hf auth login" in absent["hint"]
        assert broken["message"].startswith("the download of the model we/broken broke off")
        assert "try again" in broken["hint"]
        assert set(hub.downloads(f"we/broken/{weights}")) == {None, "bytes=1000-"}
    # the server is gone: what was fetched is still there, and what was not is said within seconds
    there, not_there = load(home, hub.address, "we/whole", "we/absent")
    assert there["parameters"] == found["parameters"]
    assert "is not in the hub's cache, and 127.0.0.1 cannot be reached" in not_there["message"]
    assert "--model tiny" in not_there["hint"] and not_there["seconds"] < 10
    there, not_there = load(home, hub.address, "we/whole", "we/absent", HF_HUB_OFFLINE="1")
    assert there["parameters"] == found["parameters"]
    assert "127.0.0.1 cannot be reached: HF_HUB_OFFLINE is set" in not_there["message"]
