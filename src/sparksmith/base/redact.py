"""Take secrets out of whatever is written down: facts, copies of recipes, events, pages.

Covers tokens of known shape, passwords in URLs, and values that stand beside a name that sounds like a secret. Does
not cover a secret that looks like ordinary text under an ordinary name.
"""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "[redacted]"
# Shapes: huggingface.co/docs/hub/security-tokens (hf_), docs.github.com token prefixes, platform.openai.com (sk-),
# docs.wandb.ai (40 hexadecimal digits, or wandb_v1_), read 2026-11-21.
TOKEN = re.compile(
    r"\b(hf_[A-Za-z0-9]{8,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|sk-[A-Za-z0-9_-]{16,}|wandb_v1_\w{8,}"
    r"|(?<![0-9a-f])(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{40}(?![0-9a-f]))"
)
URL_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)|(?<=://)[^/\s:@]{8,}(?=@)")
SECRET_NAME = r"(?:[\w-]*(?:(?:api|access|secret|private)[_-]?key|token|secret|passw(?:or)?d|credential)s?)"
# tiktoken==0.12 is a requirement
ASSIGNED = re.compile(rf"(?i)(\b{SECRET_NAME}[\"']?\s*[=:](?!=\s*\d)\s*[\"']?)(?!\[redacted)[^\s\"',;]+")
NAME = re.compile(rf"(?i)^{SECRET_NAME}$")
NOT_SECRET = frozenset({"max_new_tokens", "tokens", "eos_token", "pad_token", "non_padding_tokens"})


def redact_text(text: str) -> str:
    """The text with every secret in it replaced by `[redacted]`."""
    text = URL_PASSWORD.sub(HIDDEN, text)
    text = TOKEN.sub(HIDDEN, text)
    return ASSIGNED.sub(lambda match: match[0] if _harmless(match[1]) else match[1] + HIDDEN, text)


def redact(value: Any) -> Any:
    """The same for what JSON can hold: strings inside lists and mappings, and values under a secret's name."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {
            key: HIDDEN if _is_secret(str(key)) and isinstance(inner, str) else redact(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    return value


def _harmless(prefix: str) -> bool:
    return prefix.strip("\"'=: -").lower().replace("-", "_") in NOT_SECRET


def _is_secret(name: str) -> bool:
    return NAME.match(name) is not None and name.lower() not in NOT_SECRET
