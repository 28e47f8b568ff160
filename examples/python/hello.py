"""Opens a hub and makes a person in it: no server, no key, one file."""

import neonhub
from neonhub.models import Identifier

with neonhub.open("memory:") as hub:
    ada = hub.people.resolve(identifiers=[Identifier(kind="email", value="ada@shop.example")])
    print(f"{ada.person} is {'new' if ada.created else 'known'}; {len(hub.people.list().items)} person here")
