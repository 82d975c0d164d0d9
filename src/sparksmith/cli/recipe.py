"""sparksmith recipe: the shipped recipes and the schema of a recipe file."""

from __future__ import annotations

import json

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def recipe() -> None:
    """The shipped recipes, and the schema of a recipe file."""


@recipe.command("list")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def list_recipes(as_json: bool) -> None:
    """The recipes that come with Sparksmith."""
    from sparksmith.recipe.shipped import find_recipe, recipe_names

    recipes = {name: find_recipe(name).values for name in recipe_names()}
    rows = [{"name": name, "description": str(values.get("description", ""))} for name, values in recipes.items()]
    if as_json:
        click.echo(json.dumps({"version": 1, "recipes": rows}, indent=2, ensure_ascii=False))
        return
    for row in rows:
        wants = "" if recipes[row["name"]].get("data_file") else " (wants --data_file, and --eval_file to be scored)"
        click.echo(f"{row['name']:<12} {row['description']}{wants}")
    click.echo("\nsparksmith recipe show NAME > my.yaml makes a copy to change", err=True)


@recipe.command("show")
@click.argument("name")
def show_recipe(name: str) -> None:
    """A shipped recipe as it stands, to be copied and changed."""
    from sparksmith.recipe.shipped import recipe_text

    click.echo(recipe_text(name), nl=False)


@recipe.command("schema")
def show_schema() -> None:
    """The JSON schema of a recipe file, for editors."""
    from sparksmith.recipe.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
