"""Print what the installed package requires, each pinned to its lower bound.

``python tests/oldest.py [EXTRA …]``; for `make test-oldest`. Without an extra these are the requirements of the
package, and with extras those of the extras alone. The bounds are those of pyproject.toml, which the package carries
with it.
"""

import re
import sys
from importlib.metadata import requires

BOUND = re.compile(r"([\w.-]+(?:\[\w+\])?)>=([\w.]+)")


def pins(extras: list[str]) -> list[str]:
    """The requirements as ``name==lowest version``, with the condition on Python's version if there is one."""
    found = []
    for requirement in requires("crossentropy") or ():
        bound, _, condition = (part.strip() for part in requirement.partition(";"))
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", condition)
        if extra[1] not in extras if extra else extras:
            continue
        match = BOUND.fullmatch(bound.replace(" ", ""))
        if match is None:
            raise ValueError(f"{bound!r} has no lower bound; write it as name>=version in pyproject.toml")
        pin = f"{match[1]}=={match[2]}"
        found.append(f"{pin}; {condition}" if condition and not extra else pin)
    return sorted(set(found))


if __name__ == "__main__":
    print("\n".join(pins(sys.argv[1:])))
