"""Becomes another program: drops root's rights and asks the kernel to signal it when its parent dies.

Run as a script by `child.spawn`, never imported. A script of its own, since nothing may run between fork and exec
of a process with threads; and after the change of user, since that change clears the wish about the parent's death.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def main(parent: int, death_signal: int, user: str, argv: list[str]) -> None:
    """Runs `argv` in place of this process; `user` is `uid:gid`, or empty to stay who we are."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if user:
        uid, gid = (int(number) for number in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if libc is not None:
        libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.umask(0o077)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # the argv of our caller, no shell
    except OSError as fault:
        sys.exit(f"{argv[0]}: {fault.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
