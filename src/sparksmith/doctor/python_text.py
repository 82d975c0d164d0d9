"""What a Python file sets and loads: keywords of calls, assignments, and what is handed to calls that load.

Read from the syntax tree, so that docstrings, help texts, comments, comparisons and defaults of functions do not count;
nor does what stands in a condition, which may never run. Nothing is imported or run. A text that is no Python for the
Python that reads it is looked through line by line, for what stands alone in its line.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from sparksmith.doctor.said import How, Said, Word, mentions, sayings_of
from sparksmith.doctor.shell_text import parse_commands

# calls whose first argument, or second, is a model's name
LOADS = frozenset((
    "from_pretrained", "pipeline", "LLM", "AsyncLLM", "AsyncEngineArgs", "EngineArgs", "snapshot_download",
    "hf_hub_download", "load_model", "SentenceTransformer", "CrossEncoder", "SFTTrainer", "DPOTrainer", "GRPOTrainer",
    "KTOTrainer", "ORPOTrainer", "RewardTrainer", "load",
))  # fmt: skip
STARTS = frozenset(("system", "run", "Popen", "call", "check_call", "check_output"))
LOGIN = frozenset(("login", "notebook_login", "interpreter_login"))
OF_A_LOGIN = ("HF_TOKEN", "WANDB_API_KEY")
TOKEN = frozenset(("token", "hf_token", "use_auth_token", "api_token", "huggingface_token"))
GIVES_AWAY = ("push_to_hub", "save_pretrained", "upload")
WITHOUT_KEY = frozenset(("offline", "disabled", "dryrun"))
GUARD = re.compile(r"^if\s+__name__\s*==\s*[\"']__main__[\"']", re.MULTILINE)
TRIPLE = re.compile(r"(\"\"\"|''')(?:.|\n)*?(?:\1|\Z)")
ALONE = re.compile(r"^\s*([A-Za-z_]\w*)\s*=\s*([\"'])([^\"'\\]*)\2\s*,?\s*$")
MOST_NODES = 200_000


def can_be_started(text: str) -> bool:
    """Whether a module of a package is a script, too."""
    return GUARD.search(text) is not None


def parse_python(text: str) -> list[Said]:
    """What a file sets, loads and mentions, in its order as far as lines tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's own: an escape that is none
            tree = ast.parse(text)
        found = [*_read(tree)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _read_lines(text)
    return sorted(found, key=lambda said: said.line)


def _read(tree: ast.Module) -> Iterator[Said]:
    """Every node once, with whether it runs in any case. A loop instead of recursion: the tree may be deep."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    for _ in range(MOST_NODES):
        if not waiting:
            return
        node, certain = waiting.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from mentions(node.value, node.lineno)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring, or a text that does nothing
        elif isinstance(node, ast.Call):
            yield from _logins(node)
            if certain:
                yield from _call(node)
        elif certain and isinstance(node, ast.Assign | ast.AnnAssign):
            yield from _assignment(node)
        waiting += _below(node, certain)


def _below(node: ast.AST, certain: bool) -> Iterator[tuple[ast.AST, bool]]:
    """What a node holds, and whether it runs where the node does."""
    for name, value in ast.iter_fields(node):
        in_any_case = certain
        if isinstance(node, ast.If):
            in_any_case = certain and name == "body" and _is_guard(node.test)
        elif isinstance(node, ast.IfExp | ast.BoolOp | ast.Match | ast.Compare | ast.ExceptHandler | ast.Assert):
            in_any_case = False
        elif isinstance(node, ast.Try):  # what tries an import chooses by what is installed
            tries = any(isinstance(each, ast.Import | ast.ImportFrom) for each in node.body)
            in_any_case = certain and (name == "finalbody" or (name == "body" and not tries))
        elif isinstance(node, ast.arguments):
            in_any_case = False
        elif isinstance(node, ast.ClassDef) and name == "body":
            value = [each for each in node.body if not isinstance(each, ast.AnnAssign)]  # fields, with their defaults
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, ast.AST):
                yield each, in_any_case


def _is_guard(test: ast.expr) -> bool:
    """Whether a condition is that of a script that is started."""
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _call(node: ast.Call) -> Iterator[Said]:
    name = _name(node.func)
    for keyword in node.keywords:
        if keyword.arg:
            yield from _set(keyword.arg, keyword.value)
    texts = [each for each in node.args[:2] if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if name in LOADS:
        yield from (Said("loaded", name, str(each.value), each.lineno) for each in texts)
    if name in STARTS and node.args:
        yield from _commands(node.args[0])
    if name == "collective_rpc" and texts:
        yield Said("set", name, str(texts[0].value), texts[0].lineno)
    flag = next((str(each.value) for each in texts if str(each.value).startswith("--")), "")
    default = next((each.value for each in node.keywords if each.arg == "default"), None)
    if flag and default is not None:
        yield from _set(flag.lstrip("-").replace("-", "_"), default)
    if name == "setdefault" and len(texts) == 2:
        yield Said("set", str(texts[0].value), str(texts[1].value), texts[0].lineno)


def _commands(node: ast.expr) -> Iterator[Said]:
    """What a program that is started is told: one text, or a list of words."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        for command in parse_commands(node.value, node.lineno):
            yield from sayings_of(command.words) if command.certain else ()
    elif isinstance(node, ast.List):
        yield from sayings_of(Word(_literal(each) or "$", each.lineno) for each in node.elts)


def _logins(node: ast.Call) -> Iterator[Said]:
    """What makes a login needless: the call itself, a token that is handed over, a run that is kept here. In a
    condition it counts as well."""
    name = _name(node.func)
    owner = _name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if name in LOGIN:
        for variable in ("WANDB_API_KEY",) if owner == "wandb" else ("HF_TOKEN",) if owner else OF_A_LOGIN:
            yield Said("mentioned", variable, "", node.lineno)
    for keyword in node.keywords:
        nothing = isinstance(keyword.value, ast.Constant) and keyword.value.value in ("", "...", None, False, True)
        if keyword.arg in TOKEN and not nothing and not name.startswith(GIVES_AWAY):
            yield Said("mentioned", "HF_TOKEN", "", node.lineno)
        if owner == "wandb" and keyword.arg == "mode" and _literal(keyword.value) in WITHOUT_KEY:
            yield Said("mentioned", "WANDB_MODE", "", node.lineno)


def _assignment(node: ast.Assign | ast.AnnAssign) -> Iterator[Said]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        if node.value is None:
            continue
        if isinstance(target, ast.Name | ast.Attribute):
            yield from _set(_name(target), node.value, "assigned")
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            yield from _set(str(target.slice.value), node.value)


def _set(key: str, value: ast.expr, how: How = "set") -> Iterator[Said]:
    """A name that is set; of a list each text, of a dictionary each key that is a text."""
    if isinstance(value, ast.List | ast.Tuple | ast.Set):
        # a list of names is a choice, unless one key takes several
        for each in value.elts if key == "report_to" else ():
            yield Said("set", key, _literal(each), each.lineno)
    elif isinstance(value, ast.Dict):
        for name, each in zip(value.keys, value.values, strict=True):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Said("set", name.value, _literal(each), each.lineno)
    else:
        yield Said(how, key, _literal(value), value.lineno)


def _literal(node: ast.expr) -> str:
    """A text, a number, True, False or None as text; empty for what is computed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool | type(None)):
        return str(node.value)
    return ""


def _name(node: ast.expr) -> str:
    """The last part of a name: from_pretrained of a.b.from_pretrained."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _read_lines(text: str) -> list[Said]:
    """Assignments and keywords that have a line to themselves, outside of texts of several lines."""
    blank = TRIPLE.sub(lambda match: "\n" * match[0].count("\n"), text)
    found: list[Said] = []
    for number, line in enumerate(blank.split("\n"), 1):
        if not line.lstrip().startswith("#"):
            found += mentions(line, number)
        if match := ALONE.match(line):
            found.append(Said("set", match[1], match[3], number))
    return found
