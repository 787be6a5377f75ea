"""The command table of SIM7080."""

from godwit.modem.generic import GENERIC
from godwit.modem.registry import Block, Registry, Reply

__all__ = ["COMMANDS", "Block", "Reply", "accepts", "command"]

COMMANDS = Registry()
COMMANDS.include(GENERIC)
command = COMMANDS.command
accepts = COMMANDS.accepts
