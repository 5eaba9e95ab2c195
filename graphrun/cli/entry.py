"""The command line: what every command ends as, and the group of them."""

from __future__ import annotations

import errno
import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click
from click_default_group import DefaultGroup

from graphrun.base.errors import INTERRUPTED, GraphrunError
from graphrun.base.memory import no_collection_at_the_ends
from graphrun.base.version import __version__
from graphrun.base.wording import nearest
from graphrun.cli.commands import catalog, check, run, show, sweep, watch
from graphrun.cli.terminal import CtrlC, discard, say

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process: 0 done, 1 failed, 2 bad usage or a bad file, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks is shown as an escape, as Python does on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    with no_collection_at_the_ends():
        status = run_command(arguments)
    sys.exit(status)


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; every mistake of a user ends as a message on stderr."""
    with CtrlC() as ctrl_c:
        try:
            status = _status(arguments)
        except Exception:
            if not ctrl_c.pressed:
                raise
            return INTERRUPTED
    return INTERRUPTED if ctrl_c.pressed else status


def _status(arguments: Sequence[str] | None) -> int:
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        # Commands are handed this function, for one may have a command line run on another machine.
        status = commands.main(arguments, prog_name="graphrun", standalone_mode=False, obj=run_command)
        sys.stdout.flush()
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue().rstrip("\n"))
        return 2
    except GraphrunError as error:
        say(f"{error}" if error.located else f"graphrun: {error}")
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        discard(sys.stdout)
        return 0
    except OSError as error:
        say(f"graphrun: the output cannot be written: {error}")
        discard(sys.stdout)
        return 1
    return status if isinstance(status, int) else 0


class Commands(DefaultGroup):
    """Commands by name; what is none of them is the file that `run` is given."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Take a word that is neither a command nor a file, but almost a command, for a misspelt one."""
        word = args[0]
        # Unlike Path.exists, os.path.exists takes a name that is too long, or in a closed folder, for no file.
        is_new = word not in self.commands and word[:1] != "-" and "." not in word and not os.path.exists(word)  # noqa: PTH110
        if is_new and not ctx.resilient_parsing:
            others = commands_of_plugins()
            if word in others:
                return word, others[word], args[1:]
            near = nearest(word, [*self.commands, *others])
            if near:
                ctx.fail(f"{word!r} is no file and no command; did you mean the command {near!r}?")
        if word not in self.commands and not ctx.resilient_parsing:
            self.refuse_late_command(ctx, args)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of plugins below those that are built in."""
        super().format_commands(ctx, formatter)
        rows = [(name, command.get_short_help_str(60)) for name, command in sorted(commands_of_plugins().items())]
        if rows:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(rows)

    def refuse_late_command(self, ctx: click.Context, args: list[str]) -> None:
        """Say that a command stands first, where one stands after options or a file."""
        options = (option for option in self.commands["run"].params if isinstance(option, click.Option))
        with_values = {name for option in options if not option.is_flag for name in option.opts}
        for position in range(1, len(args)):
            name = args[position]
            if name in self.commands and args[position - 1] not in with_values:
                others = shlex.join([*args[:position], *args[position + 1 :]])
                ctx.fail(f"the command {name!r} stands first: graphrun {name} {others}")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, and what `run` takes, which needs no name."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            options = self.commands["run"].shell_complete(ctx, incomplete)
            return found + [item for item in options if item.value not in {known.value for known in found}]
        from graphrun.cli.completion import commands_or_files

        return commands_or_files(found, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would end the process with status 1 when the reader has closed the pipe."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            discard(sys.stdout)
            return 0


def commands_of_plugins() -> dict[str, click.Command]:
    """Return the commands of plugins that are installed, or in the project's folder; a built-in name stays."""
    from graphrun.plugins.registry import Registry

    registry, hook = Registry(), "graphrun_commands"
    names = (name for name in registry.names(hook) if name not in commands.commands)
    return {name: cast("click.Command", registry.named(hook, name)) for name in names}


@click.group(cls=Commands, default="run", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="graphrun")
def commands() -> None:
    """Run computational graphs declared in YAML files: forward pass, backward pass, updates.

    `graphrun FILE` is short for `graphrun run FILE`.
    """


for module in (run, sweep, watch, show, check, catalog):
    for command in vars(module).values():
        if isinstance(command, click.Command):
            commands.add_command(command)
