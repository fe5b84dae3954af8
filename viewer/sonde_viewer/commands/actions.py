"""Verbs of several actions: `sonde snap add`, `sonde snap show`."""

import argparse
from collections.abc import Callable
from typing import Any


class Action(argparse.ArgumentParser):
    """The parser of one action of a verb, such as `snap add`.

    `late` is the positional that may be absent, by its name. argparse takes it for absent as soon as an option stands
    where it could be; here it may come behind options too.
    """

    late: str | None = None

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]  # its overloads, in one
        self, args: Any = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        if self.late is not None and rest and not any(each.startswith("-") for each in rest):
            taken = getattr(found, self.late)
            if isinstance(taken, list):
                setattr(found, self.late, [*taken, *rest])
                return found, []
            if taken is None and len(rest) == 1:
                setattr(found, self.late, rest[0])
                return found, []
        return found, rest


Actions = Callable[..., Action]


def actions_of(parser: argparse.ArgumentParser) -> Actions:
    """Makes actions of the verb: `action(name, description, examples)`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=Action)

    def action(name: str, description: str, examples: str, late: str | None = None) -> Action:
        made = actions.add_parser(
            name,
            help=description.partition("\n")[0],
            description=description,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        made.set_defaults(action=name)
        made.late = late
        return made

    return action
