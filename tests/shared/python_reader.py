"""Counts what the writers left in a store.

    python python_reader.py STORE_PATH PREFIX...

Prints `PREFIX N` for each: how many different people hold one of its addresses. Checks the store first.
"""

import re
import sys

import neonhub


def main(store: str, prefixes: list[str]) -> None:
    with neonhub.open(store) as hub:
        damaged = hub.store.check()
        assert not damaged, damaged
        report = hub.audit.verify()
        assert report.ok, report
        found: dict[str, set[str]] = {prefix: set() for prefix in prefixes}
        cursor: str | None = None
        while True:
            page = hub.people.list(limit=200, cursor=cursor)
            for person in page.items:
                for identity in person.identities:
                    match = re.fullmatch(r"(.+)-\d+@shared\.example", identity.value or "")
                    if match and match[1] in found:
                        found[match[1]].add(person.id)
            cursor = page.next
            if cursor is None:
                break
    for prefix in prefixes:
        print(f"{prefix} {len(found[prefix])}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
