"""`python -m deploy.local VERB`, from the top of the repository.

run    the whole stack with the demo and the service, until Ctrl-C (PORT, KUBECONFIG, DATABASE_URL, LOCAL_STACK_BIN)
build  only build the control plane's programs, as `run` does on first use
"""

import sys

from . import binaries
from .errors import LocalStackError
from .run import Interrupted, run


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        match arguments:
            case ["run"]:
                run()
            case ["build"]:
                print(binaries.find_or_build())
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (Interrupted, KeyboardInterrupt) as stopped:
        return 0 if isinstance(stopped, Interrupted) else 130
    except LocalStackError as error:
        print(f"local stack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
