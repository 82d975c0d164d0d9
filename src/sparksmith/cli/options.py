"""The options of `train`, made from the recipe's keys: one place for names, help and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import click

from sparksmith.base.errors import UsageProblem
from sparksmith.recipe.aliases import ALIASES, REFUSED, canonical
from sparksmith.recipe.schema import GROUPS, Recipe, group_of

NOT_FLAGS = {"name", "description", "method"}
ASKS_NOTHING = {"false", "no", "0", "off", "none", "sdpa"}  # values of a refused flag that want what is done anyway
OPTIONAL_VALUE = {"resume_from_checkpoint": "latest"}
TRUTH = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
# Other switches: the key they set, and its value where they are true and where they are false.
SHORTHANDS = {
    "bf16": ("precision", "bf16", "fp32"),
    "use_peft": ("full_finetuning", "false", "true"),
    "lora": ("full_finetuning", "false", "true"),
}


def is_switch(name: str) -> bool:
    """Whether a key is true or false (or auto), so that its flag may stand alone."""
    annotation = Recipe.model_fields[name].annotation
    return annotation is bool or bool in get_args(annotation)


def flag_names() -> list[str]:
    """The recipe's keys that are flags, in the order of their groups."""
    names = [name for name in Recipe.model_fields if name not in NOT_FLAGS]
    return sorted(names, key=lambda name: GROUPS.index(group_of(name)))


def spellings(name: str) -> list[str]:
    """--batch_size, --batch-size and the other names of the same key."""
    names = [name, *(alias for alias, target in ALIASES.items() if target == name)]
    return [spelling for one in names for spelling in dict.fromkeys((f"--{one}", f"--{one.replace('_', '-')}"))]


class RecipeOption(click.Option):
    """An option of one recipe key; help shows the underscore spelling and the default."""

    def get_help_record(self, context: click.Context) -> tuple[str, str] | None:
        name = str(self.name)
        default = Recipe.model_fields[name].default
        others = [f"--{alias}" for alias, target in ALIASES.items() if target == name]
        shown = f"--{name}" + (
            ""
            if is_switch(name)
            else f" [{OPTIONAL_VALUE[name]}|FOLDER]"
            if name in OPTIONAL_VALUE
            else f" {self.make_metavar(context)}"
        )
        text = str(self.help)
        if default not in (None, ""):
            plain = str(default).lower() if isinstance(default, bool) else str(default).replace("\n", "\\n")
            text += f"  [{plain}]"
        if others:
            text += f"  (also {', '.join(others)})"
        return shown, text


class TrainCommand(click.Command):
    """Groups the options in --help, and reads argv the way Transformers' scripts are called."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, rewrite_arguments(args))

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        recipe = {option.name: option for option in self.get_params(context) if isinstance(option, RecipeOption)}
        for group in GROUPS:
            records = [recipe[name].get_help_record(context) for name in flag_names() if group_of(name) == group]
            with formatter.section(group.capitalize()):
                formatter.write_dl([record for record in records if record])
        others = [
            option.get_help_record(context)
            for option in self.get_params(context)
            if not isinstance(option, RecipeOption)
        ]
        with formatter.section("Other"):
            formatter.write_dl([record for record in others if record])


def rewrite_arguments(args: Sequence[str]) -> list[str]:
    """argv with every switch given its value, shorthands spelled out, and refused flags refused with their reason.

    `--flag` alone is true, `--no-flag` false, `--flag true` and `--flag=False` what they say. A value that would be
    swallowed by --resume_from_checkpoint though it is a recipe raises `UsageProblem` with both spellings.
    """
    from sparksmith.recipe.shipped import recipe_names

    switches = {*(name for name in flag_names() if is_switch(name)), *SHORTHANDS}
    result: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*result, word, *rest]
        if not word.startswith("--"):
            result.append(word)
            continue
        written, equals, value = word[2:].partition("=")
        name = canonical(written)
        if name in REFUSED:
            if not equals:
                value = rest.pop(0) if rest and not rest[0].startswith("-") else "true"
            if value.lower() not in ASKS_NOTHING:
                raise UsageProblem(f"--{written} is not possible: {REFUSED[name]}", "sparksmith train --help")
            continue
        negated = name.startswith("no_") and name[3:] in switches
        if negated or name in switches:
            if negated:
                name, value = name[3:], "false"
            elif not equals:
                value = rest.pop(0) if rest and rest[0].lower() in {*TRUTH, "auto"} else "true"
            result.append(_spell_out(name, value) if name in SHORTHANDS else f"--{name}={value}")
            continue
        if name in OPTIONAL_VALUE and not equals:
            following = rest[0] if rest and not rest[0].startswith("-") else None
            if following is None:
                result.append(f"--{name}={OPTIONAL_VALUE[name]}")
            elif following in recipe_names() or following.endswith((".yaml", ".yml")):
                others = " ".join([*result, *rest[1:]])
                raise UsageProblem(
                    f"--{written} {following}: {following} is a recipe, not a checkpoint",
                    f"sparksmith train {following} {others + ' ' if others else ''}--{written}"
                    f"   (or --{written}=latest {following})",
                )
            else:
                result.append(f"--{name}={rest.pop(0)}")
            continue
        result.append(word)
    return result


def _spell_out(shorthand: str, value: str) -> str:
    """--bf16 true as --precision=bf16. Raises `UsageProblem` for a value that is neither true nor false."""
    target, yes, no = SHORTHANDS[shorthand]
    if value.lower() not in TRUTH:
        raise UsageProblem(
            f"--{shorthand}: {value!r} is not possible: it is true or false", f"--{shorthand}, or --{target} {no}"
        )
    return f"--{target}={yes if TRUTH[value.lower()] else no}"


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function with one option for each key of a recipe."""
    for name in reversed(flag_names()):
        field = Recipe.model_fields[name]
        command = click.option(
            *spellings(name), name, cls=RecipeOption, default=None, help=field.description, metavar=metavar(name)
        )(command)  # fmt: skip
    return command


def metavar(name: str) -> str:
    """What a key takes, as --help shows it: N|auto, bf16|fp32, FILE."""
    text = "FILE" if name.endswith("_file") else "FOLDER" if name.endswith("_dir") else "TEXT"
    words = {bool: "true|false", int: "N", float: "NUMBER", str: text}
    leaves = _leaves(Recipe.model_fields[name].annotation)
    return "|".join(leaf if isinstance(leaf, str) else words[leaf] for leaf in leaves)


def _leaves(annotation: Any) -> list[Any]:
    """The plain types and the literal values that an annotation allows, None left out."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) is Annotated:
        return _leaves(get_args(annotation)[0])
    if parts := get_args(annotation):
        return [leaf for part in parts for leaf in _leaves(part)]
    return [] if annotation is type(None) else [annotation]


def given_flags(options: dict[str, Any]) -> dict[str, Any]:
    """The recipe keys that were given on the command line, as text."""
    return {name: value for name, value in options.items() if name in Recipe.model_fields and value is not None}
