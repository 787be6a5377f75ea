"""Standard commands that Serial Modem has and the other families have not, or not so."""

from godwit.modem.generic import report
from godwit.modem.sm import format as fmt
from godwit.modem.sm.registry import COMMANDS

report(COMMANDS, "+CSCON", "cscon", 3, lambda core, n: "," + fmt.cscon(core, n))
report(COMMANDS, "+CNEC", "cnec", 24, lambda core, n: "")
