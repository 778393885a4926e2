"""`python -m deploy.local VERB`, from the top of the repository.

run    the whole stack with the demo and the service, until Ctrl-C (PORT, MANAGEMENT_PORT, KUBECONFIG, DATABASE_URL,
       LOCAL_STACK_BIN)
build  only build the control plane's programs, as `run` does on first use
"""

import signal
import sys
from types import FrameType

from . import binaries
from .errors import LocalStackError
from .run import run


class _Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP came."""


def main(arguments: list[str]) -> int:
    """The exit code: to be stopped is how `run` succeeds."""
    _raise_on_signals()
    try:
        match arguments:
            case ["run"]:
                run()
            case ["build"]:
                print(binaries.find_or_build())
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except _Interrupted:
        return 0 if arguments == ["run"] else 1
    except LocalStackError as error:
        print(f"local stack: {error}", file=sys.stderr)
        return 1
    return 0


def _raise_on_signals() -> None:
    """Raise _Interrupted at the first, and hear no second: it would cut the ending short."""
    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        heard.append(signal.SIGHUP)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in heard:
            signal.signal(each, signal.SIG_IGN)
        raise _Interrupted

    for each in heard:
        signal.signal(each, interrupt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
