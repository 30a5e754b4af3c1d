"""Fetches the files of a list by their names, from the index that pip is set up with.

    fetch.py LIST FOLDER

A file that is there with the right SHA-256 is not fetched again.
"""

import hashlib
import os
import pathlib
import sys

from pip._internal.commands import create_command
from pip._internal.index.collector import LinkCollector, parse_links
from pip._internal.models.link import Link
from packaging.utils import canonicalize_name


def main():
    list_path, folder = map(pathlib.Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    command = create_command("download")
    options, _ = command.parse_args([])
    pages = {}
    with command.main_context():
        session = command.get_default_session(options)
        collector = LinkCollector.create(session, options=options)
        index = collector.search_scope.index_urls[0].rstrip("/")
        for line in list_path.read_text(encoding="utf-8").splitlines():
            if not line or line.startswith("#"):
                continue
            _, project, _, name, sha256 = line.split("\t")
            path = folder / name
            if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                continue
            if project not in pages:
                page = collector.fetch_response(Link(f"{index}/{canonicalize_name(project)}/"))
                pages[project] = {link.filename: link for link in parse_links(page)} if page else {}
            link = pages[project].get(name)
            if link is None:
                sys.exit(f"the index has no {name}")
            answer = session.get(link.url_without_fragment)
            answer.raise_for_status()
            if hashlib.sha256(answer.content).hexdigest() != sha256:
                sys.exit(f"{name} is not the file that was chosen")
            part = path.with_name(name + ".part")
            part.write_bytes(answer.content)
            os.replace(part, path)
            print(f"fetched {name}", flush=True)


main()
