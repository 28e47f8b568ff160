"""One of the processes that write to one store at the same time, each in its own language.

    python python_writer.py STORE_PATH PREFIX COUNT

Resolves COUNT people with the addresses `PREFIX-0@shared.example` to `PREFIX-(COUNT-1)@shared.example` and prints
`done COUNT`.
"""

import sys

import neonhub


def main(store: str, prefix: str, count: int) -> None:
    with neonhub.open(store) as hub:
        for n in range(count):
            address = f"{prefix}-{n}@shared.example"
            hub.people.resolve(identifiers=[neonhub.models.Identifier(kind="email", value=address)])
    print(f"done {count}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
