"""Help: every option is explained, sizes are spelled alike, and docs/commands.md says what the commands say."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from derive.cli import main, reference
from derive.cli.app import COMMANDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
ALL = dict(reference.walk())
RUNNABLE = {name: command for name, command in ALL.items() if not isinstance(command, click.Group)}


def test_every_command_of_the_table_is_walked() -> None:
    assert {name.split()[1] for name in ALL if " " in name} == set(COMMANDS)
    assert {"derive cache ls", "derive cache clear"} <= set(RUNNABLE)


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_has_its_help(name: str) -> None:
    command = ALL[name]
    context = click.Context(command, info_name=name, max_content_width=1000)
    said = " ".join([command.help or "", command.epilog or ""])
    assert command.help and command.help.strip()
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            assert parameter.help and parameter.help.strip().endswith((".", "]")), f"{name}: {parameter.opts}"
        else:
            assert parameter.make_metavar(context).strip("[].") in said, f"{name}: {parameter.name} is not explained"


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_size_is_spelled_alike_wherever_there_is_one(name: str) -> None:
    options = {opt: p for p in RUNNABLE[name].params if isinstance(p, click.Option) for opt in p.opts}
    letters = {"-T", "-B", "-I", "-H"} & set(options)
    assert bool(letters) == ("--size" in options)
    for letter in letters:
        assert options[letter].make_metavar(click.Context(RUNNABLE[name])).startswith("N")
        assert (options[letter].help or "").startswith(
            {"-T": "Steps of time", "-B": "Sequences side by side", "-I": "Inputs", "-H": "Hidden units"}[letter]
        )


def test_exit_codes_are_in_the_help() -> None:
    said = CliRunner().invoke(main, ["--help"]).output
    for code in ("0", "1", "2", "130", "141"):
        assert f"    {code.ljust(5)}" in said


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.reference(), "run `python -m derive.cli.reference`"


def test_the_page_has_every_option_of_every_command() -> None:
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    for name, command in RUNNABLE.items():
        (section,) = [s for s in sections if s.splitlines()[0] == name]
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert f"{option}" in section, f"{name}: {option}"


def test_sizes_by_letter_and_by_name_are_the_same() -> None:
    letters = ["cost", "lstm_readout", "-T", "5", "-B", "2", "-I", "3", "-H", "4", "--size", "O=6", "--json"]
    runs = [letters, ["cost", "lstm_readout", "--size", "T=5,B=2,I=3", "--size", "H=4,O=6", "--json"]]
    first, second = (CliRunner().invoke(main, words) for words in runs)
    assert first.exit_code == second.exit_code == 0, second.output
    assert first.stdout == second.stdout and '"O": 6' in first.stdout
