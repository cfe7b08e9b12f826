"""The program: which commands there are, told without reading any of them."""

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Noun(NamedTuple):
    """A command and what `billingbot --help` says of it. Its module has an `app`, or a function of its name."""

    help: str
    panel: str
    module: str


_RUN, _DESK, _LOOK, _TRY = "Run it", "At the desk", "Look inside", "Try it"
NOUNS: Final = {
    "demo": Noun("A month at a small SaaS, played end to end; needs no account.", _TRY, "demo"),
    "sandbox": Noun("A local Stripe with its own clock.", _TRY, "sandbox"),
    "up": Noun("Everything on this machine: engines, web, workers and scheduler.", _RUN, "up"),
    "web": Noun("The HTTP door: webhooks, the API and the console. One process of many.", _RUN, "web"),
    "worker": Noun("Runs the jobs. One process of many.", _RUN, "worker"),
    "scheduler": Noun("What happens by itself, each second and each hour. One process of many.", _RUN, "scheduler"),
    "db": Noun("The database: migrate it, or check the migrations.", _RUN, "db"),
    "doctor": Noun("What is configured, and what of it can be reached.", _RUN, "doctor"),
    "request": Noun("Ask for a refund on behalf of a customer.", _DESK, "request"),
    "cases": Noun("The human queue: list, explain, claim, approve, deny.", _DESK, "cases"),
    "disputes": Noun("What the banks ask and take: deadlines, and the evidence for an answer.", _DESK, "disputes"),
    "mode": Noun("What billingbot may do by itself: off, shadow, assist, auto.", _DESK, "mode"),
    "breaker": Noun("Stops automatic refunds that come too fast: show it, close it.", _DESK, "breaker"),
    "keys": Noun("API keys: create, list, revoke.", _DESK, "keys"),
    "users": Noun("Who may sign in: add, link, roles, sessions.", _DESK, "users"),
    "privacy": Noun("What is kept of a customer, and erasing it.", _DESK, "privacy"),
    "policy": Noun("The refund policy: check, test, compare and publish versions.", _DESK, "policy"),
    "refunds": Noun("Refunds and their attempts.", _LOOK, "refunds"),
    "cancellations": Noun("Subscriptions that a refund was to end, and did not.", _DESK, "cancellations"),
    "conversions": Noun("Trials that turned into a charge.", _LOOK, "conversions"),
    "ledger": Noun("The ledger: list, verify, export.", _LOOK, "ledger"),
    "months": Noun("Month close: list, close, show, sign, export.", _LOOK, "months"),
    "jobs": Noun("Steps of work, and what became of them.", _LOOK, "jobs"),
    "reconcile": Noun("Compare Stripe with our books, and see where they differ.", _LOOK, "reconcile"),
    "events": Noun("What Stripe told us.", _LOOK, "events"),
    "notices": Noun("What people were told, and whether it arrived.", _LOOK, "notices"),
    "sources": Noun("Ask the usage and support sources about a customer.", _LOOK, "sources"),
    "version": Noun("Which release this is.", _LOOK, "version"),
}


class Nouns(TyperGroup):
    """The group of all commands: stubs until one of them is really asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.telling = False
        self.commands = {name: _stub(name, noun) for name, noun in NOUNS.items()}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command itself; its stub while the help is being written."""
        if self.telling or cmd_name not in NOUNS:
            return self.commands.get(cmd_name)
        return _load(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, from the stubs alone."""
        self.telling = True
        super().format_help(ctx, formatter)


app = typer.Typer(
    cls=Nouns,
    help="billingbot applies a written refund policy to Stripe charges: it pays what the policy grants, "
    "and hands the rest to people.",
    epilog="Begin with: billingbot demo. Settings come from BILLINGBOT_* variables and config/billingbot.toml.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _nothing_in_common() -> None:
    """All options belong to the commands."""


def program() -> None:
    """Runs the command that the arguments name. Raises what it raises; ends by SystemExit otherwise."""
    typer.main.get_command(app).main(prog_name="billingbot")


def _stub(name: str, noun: Noun) -> TyperCommand:
    return TyperCommand(name, help=noun.help, rich_help_panel=noun.panel)


@cache
def _load(name: str) -> Any:
    module = importlib.import_module(f"billingbot.cli.{NOUNS[name].module}")
    noun: typer.Typer | None = getattr(module, "app", None)
    if noun is None:
        command: Callable[..., None] = getattr(module, name)
        noun = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
        noun.command(name)(command)
    found = typer.main.get_command(noun)
    found.name = name
    return found
