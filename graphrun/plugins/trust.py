"""Whose code may be opened without being named: the user's own, and root's, which nobody else can write.

A folder that a project's file names is found from the working folder, which may lie in somebody else's.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def why_not(paths: Iterable[Path]) -> str | None:
    """Say why files and folders are not to be opened: one belongs to another user, or others may write it.

    None where they may be opened, and on systems without such permissions.
    """
    if os.name != "posix":
        return None
    return next(filter(None, map(_why_not, paths)), None)


def _why_not(path: Path) -> str | None:
    # Whoever made a link chose what it leads to.
    for state in (path.lstat(), path.stat()):
        if state.st_uid not in {0, os.geteuid()}:
            return f"{path} belongs to {_name_of(state.st_uid)}"
        if not stat.S_ISLNK(state.st_mode) and (
            state.st_mode & stat.S_IWOTH or (state.st_mode & stat.S_IWGRP and not _is_private(state.st_gid))
        ):
            return f"{path} can be written by others"
    return None


def _is_private(group: int) -> bool:
    """Whether a group is root's, or that of the user alone, as many systems make one for each user."""
    import grp
    import pwd

    if group == 0:
        return True
    try:
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}


def _name_of(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
