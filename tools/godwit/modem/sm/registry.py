"""The command table of the Serial Modem."""

from godwit.modem.generic import GENERIC
from godwit.modem.registry import Registry, Reply

__all__ = ["COMMANDS", "Reply", "accepts", "command"]

COMMANDS = Registry()
COMMANDS.include(GENERIC, without=("+CSQ", "+CREG", "+CGREG", "+CTZU", "+CTZR", "+IFC", "+CMGF", "+GSN", "+GMM",
                                   "+GMR", "+GMI", "&W", "&F0", "Q0", "&K0", "&K3", "&C1", "&D0", "&D1", "&D2"))
command = COMMANDS.command
accepts = COMMANDS.accepts
