"""From the end of a path, as people type it, to the path of a source file in the process; pure."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from sonde_viewer.prompt.errors import UnknownFile
from sonde_wire import looking


def find(text: str, files: Sequence[looking.SourceFile]) -> str:
    """The one file whose path ends in these parts; the application's own files go before the standard
    library's. A whole path is taken as it is, because the file may not be imported yet. Raises `UnknownFile`.
    """
    if text.startswith("/"):
        return text
    wanted = PurePosixPath(text).parts
    found = [file for file in files if PurePosixPath(file.path).parts[-len(wanted) :] == wanted]
    own = [file for file in found if file.application]
    paths = sorted({file.path for file in own or found})
    if len(paths) != 1:
        raise UnknownFile(text, paths)
    return paths[0]
