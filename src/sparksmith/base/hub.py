"""What models and datasets on the hub have in common: where it is, whether it answers, and its errors in words."""

from __future__ import annotations

import os
import re
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from sparksmith.base.errors import SparksmithError

CONNECT_SECONDS = 5.0
PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
REPOSITORY = re.compile(rf"{PART}/{PART}")  # owner/name
MODEL = re.compile(rf"(?:{PART}/)?{PART}")  # old models have no owner
# Classes of the hub's client, of httpx and of Python that speak of a connection rather than of what was fetched.
NETWORK = {
    "HfHubHTTPError", "LocalEntryNotFoundError", "OfflineModeIsEnabled", "HTTPError", "TransportError",
    "ConnectionError", "TimeoutError", "SSLError", "gaierror",
}  # fmt: skip
TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads its variables


class NoAnswer(SparksmithError):
    """The hub did not say no; it could not be asked, or did not come to an end."""


def hub_address() -> str:
    """Where the hub is: `HF_ENDPOINT`, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def why_unreachable() -> str | None:
    """Why the hub cannot be asked, found out within seconds; None where it can, or where a proxy stands before it.

    The hub's own client tries for 50 s and says so 24 times (huggingface-hub 1.33, measured 2026-11-21).
    """
    hub = urlsplit(hub_address())
    host = str(hub.hostname)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in TRUE:
            return f"{host} cannot be reached: {name} is set"
    proxies = getproxies()
    if (hub.scheme in proxies or "all" in proxies) and not proxy_bypass(host):
        return None
    try:
        socket.create_connection((host, hub.port or (80 if hub.scheme == "http" else 443)), CONNECT_SECONDS).close()
    except OSError as error:
        return f"{host} cannot be reached: {error}"
    return None


def explain_hub_error(error: BaseException, kind: str, name: str, hint: str) -> SparksmithError:
    """What a failed request to the hub means. `kind` is model or dataset; `hint` says what to do without the hub.

    The hub's own classes are told by name, also where Transformers has wrapped them, so that nothing is imported here.
    """
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    names = {base.__name__ for one in chain for base in type(one).__mro__}
    page = f"{hub_address()}/{'datasets/' if kind == 'dataset' else ''}{name}"
    if "GatedRepoError" in names or any("403" in str(one) for one in chain if "HfHubHTTPError" in _classes(one)):
        return SparksmithError(
            f"the {kind} {name} is gated on the hub", f"accept its terms at {page}, then: hf auth login"
        )
    if "HFValidationError" in names:
        return SparksmithError(f"{name} is no name on the hub: {first_line(chain[-1])}", f"a {kind} is owner/name")
    if "RepositoryNotFoundError" in names:
        return SparksmithError(
            f"the hub has no {kind} {name}, or it is private",
            f"look for it at {hub_address()}/{kind}s; for a private one: hf auth login",
        )
    if names & {"RemoteProtocolError", "ReadError", "ReadTimeout", "ConnectionResetError", "IncompleteRead"}:
        return NoAnswer(
            f"the download of the {kind} {name} broke off: {first_line(chain[-1])}",
            "try again when the connection is better; what came whole is kept",
        )
    answer = next((str(one) for one in chain if "HfHubHTTPError" in _classes(one)), None)
    if answer is not None and "401" in answer:
        return SparksmithError(f"the hub does not accept your token for the {kind} {name}", "hf auth login")
    if not names & NETWORK:
        return SparksmithError(f"the {kind} {name} cannot be loaded: {first_line(error)}", f"look at {page}")
    reason = answer or str(chain[-1]) or str(error)
    return NoAnswer(
        f"the {kind} {name} is neither in the hub's cache nor could it be fetched: {first_line(reason)}", hint
    )


def _classes(error: BaseException) -> set[str]:
    return {base.__name__ for base in type(error).__mro__}


def first_line(error: BaseException | str) -> str:
    """The first line of an error, 200 characters at most."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
