"""``responder channels``: who can be reached over what, a test message, and asking an owner to confirm."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from responder.cli.client import Client, clean
from responder.cli.loading import configuration, rules_of
from responder.cli.remote import group, subcommand, tell
from responder.clock import SystemClock
from responder.config import ChannelSection, Config
from responder.incident.message import Contact, Receipt
from responder.incident.severity import Severity
from responder.paging.base import CHANNELS, Channel, ChannelError, ChannelTools
from responder.paging.notices import Occasion, trial, tried
from responder.registry import did_you_mean
from responder.rulebook import Rulebook

_TEST = "Send a message that says it is a test, from this machine and without a daemon: by the configuration and rule files."
_SEND_LIMIT = 10.0  # seconds


def add_parser(commands: Any) -> None:
    """Add the command."""
    below = group(commands, "channels", "the ways to reach people: list, test, verify")
    subcommand(below, "list", list_channels, "who can be reached over what, and when they confirmed it")
    verify = subcommand(below, "verify", ask_owner, "send the owner of an address a link to confirm it with")
    verify.add_argument("name", metavar="NAME", help="a channel of the configuration")
    verify.add_argument("--to", required=True, metavar="CONTACT", help="a contact of the rule files")
    test = below.add_parser(
        "test", help="send a message that says it is a test, from here", description=_TEST
    )
    test.add_argument("name", metavar="NAME", help="a channel of the configuration")
    test.add_argument(
        "--to", metavar="CONTACT", help="a contact of the rule files; else nobody in particular"
    )
    test.add_argument(
        "--severity",
        choices=[str(one) for one in Severity],
        default=str(Severity.P4),
        help="how it is sent and shown; P1 may ring (default: %(default)s)",
    )
    test.add_argument(
        "--resolve", action="store_true", help="then send the end of it (PagerDuty closes its incident)"
    )
    test.add_argument("--config", metavar="FILE", help="responder.yaml; without it, built-in defaults")
    test.set_defaults(run=try_out)


def list_channels(args: argparse.Namespace, client: Client) -> int:
    """A line for each contact and channel."""
    answer = client.get("/api/v1/contacts")
    lines = [
        f"{contact['name']:<20}  {channel['name']:<16}  {_confirmed(channel['verified_at'])}"
        for contact in answer["contacts"]
        for channel in contact["channels"] or [{"name": "no channel", "verified_at": None}]
    ]
    return tell(args, answer, "\n".join(lines) or "no contacts")


def _confirmed(at: str | None) -> str:
    return f"confirmed {at[:10]}" if at else "never confirmed"


def ask_owner(args: argparse.Namespace, client: Client) -> int:
    """Have the daemon send the link."""
    path = f"/api/v1/contacts/{quote(args.to, safe='')}/verify"
    answer = msgspec.json.decode(client.call("POST", path, {"channel": args.name}))
    until = answer["expires_at"][:16].replace("T", " ")
    return tell(args, answer, f"sent to {args.to} over {args.name}; the link holds until {until} UTC")


def try_out(args: argparse.Namespace) -> int:
    """0 where the channel took the message, 1 where not, 2 where there is no such channel or contact."""
    config = configuration(args.config)
    rules = rules_of(config) if config else None
    if config is None or rules is None:
        return 1
    try:
        section, contact = _named(args, config, rules)
        said = asyncio.run(_try(args, config, section, contact))
    except LookupError as error:
        print(f"responder: {error.args[0]}", file=sys.stderr)
        return 2
    except ChannelError as error:
        again = "for good" if error.permanent else "for now: trying again may help"
        reason = clean(rules.redact(str(error)))
        print(f"responder: {args.name}: not delivered, {again}: {reason}", file=sys.stderr)
        return 1
    print(clean(said))
    return 0


def _named(args: argparse.Namespace, config: Config, rules: Rulebook) -> tuple[ChannelSection, Contact]:
    contacts = rules.rules.contacts
    if args.name not in config.channels:
        raise LookupError(f"no channel {args.name!r}{did_you_mean(args.name, config.channels)}")
    if args.to is not None and args.to not in contacts:
        raise LookupError(f"no contact {args.to!r}{did_you_mean(args.to, contacts)}")
    return config.channels[args.name], contacts.get(args.to, Contact(name="nobody in particular"))


async def _try(args: argparse.Namespace, config: Config, section: ChannelSection, contact: Contact) -> str:
    async with aiohttp.ClientSession(trust_env=False) as session:
        tools = ChannelTools(session=session, clock=SystemClock(), external_url=config.external_url)
        channel: Channel = CHANNELS[section.type](args.name, section.settings, tools)
        if not channel.reaches(contact):
            kind = channel.address_kind
            raise LookupError(f"{contact.name} has no address for channel {args.name}: set {kind}, or --to")
        now = tools.clock.now()
        occasion = Occasion(channel=args.name, contact=contact.name, now=now, url=config.external_url)
        message = trial(occasion, Severity(args.severity))
        try:
            async with asyncio.timeout(_SEND_LIMIT):
                receipt = await channel.send(message, contact, Receipt())
                if args.resolve:
                    await channel.send(tried(message, tools.clock.now()), contact, receipt)
        except TimeoutError:
            raise ChannelError("no answer in time") from None
        finally:
            await channel.close()
    reference = ", ".join(f"{name} {value}" for name, value in receipt.reference.items() if value)
    return (
        f"{args.name}: taken{f' ({reference})' if reference else ''}. Whether it arrived, its reader knows."
    )
