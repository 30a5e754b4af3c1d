"""Reads one file back from an index as pip does: its page, its link, the file, its content.

    read_back.py INDEX PROJECT FILE FOLDER
"""

import pathlib
import sys

from packaging.utils import canonicalize_name
from pip._internal.commands import create_command
from pip._internal.index.collector import LinkCollector, parse_links
from pip._internal.models.link import Link
from pip._internal.utils.unpacking import unpack_file


def main():
    index, project, name, folder = sys.argv[1:]
    folder = pathlib.Path(folder)
    command = create_command("download")
    options, _ = command.parse_args(["--index-url", index, "--no-cache-dir"])
    with command.main_context():
        session = command.get_default_session(options)
        collector = LinkCollector.create(session, options=options)
        page = collector.fetch_response(Link(f"{index.rstrip('/')}/{canonicalize_name(project)}/"))
        links = {link.filename: link for link in parse_links(page)} if page else {}
        if name not in links:
            sys.exit(f"pip finds no link to {name}")
        answer = session.get(links[name].url_without_fragment)
        answer.raise_for_status()
        path = folder / name
        path.write_bytes(answer.content)
        # The digest that the page gives.
        links[name].as_hashes().check_against_path(str(path))
        unpack_file(str(path), str(folder / "unpacked"))


main()
