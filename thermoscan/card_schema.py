"""The JSON schema of a card, generated from the classes of `thermoscan.card`.

Run as a module it prints the schema, which is shipped as ``thermoscan/schema/card-4.json``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from thermoscan.card import SCHEMA_URL, Card

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """Returns the schema as JSON text: every key is required, and no other is allowed."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - 0.2 s, and needed for nothing else

    body = TypeAdapter(Card).json_schema(mode="serialization")
    for record in (body, *body["$defs"].values()):
        record["additionalProperties"] = False
    document: dict[str, Any] = {"$schema": DIALECT, "$id": SCHEMA_URL, **body}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
