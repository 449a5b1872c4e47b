"""How the hub is asked: who asks, with which headers, and answers of bounded length.

Every request says that it is thermoscan's. Lists are asked for here, not by huggingface_hub: that
reads answers of any length, waits without end for a page that does not come, as long as it is told
to, and follows the link to the next page to any host.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from thermoscan._version import __version__
from thermoscan.errors import HubError
from thermoscan_adapters.hub_patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LIBRARY = "thermoscan"
MOST_BYTES = 50_000_000
"""Of one answer, unpacked. A page of a thousand files has 0.3 MB."""


def new_api(endpoint: str | None, token: str | None = None) -> HfApi:
    """Returns huggingface_hub's client; None for its own endpoint and token."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - takes 0.3 s

    return HfApi(endpoint=endpoint, token=token, library_name=LIBRARY, library_version=__version__)


def headers_of(token: str | bool | None) -> dict[str, str]:
    """Returns the headers to send; a token of None is that of the environment, False none."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined] # noqa: PLC0415 - 0.3 s
        build_hf_headers,
    )

    headers: dict[str, str] = build_hf_headers(
        token=token, library_name=LIBRARY, library_version=__version__
    )
    return headers


def get_json(api: HfApi, path: str, patience: Patience) -> Any:
    """Returns what the hub answers at a path of its API.

    Raises:
        HubError: ``hub-answer``: it is too long.
    """
    return _get(api, f"{api.endpoint}{path}", patience)[0]


def pages(api: HfApi, path: str, patience: Patience) -> Iterator[Any]:
    """Yields the pages of a list, each as it is answered; none of them is empty but the last.

    Raises:
        HubError: ``hub-answer``: one is too long, or the list goes on elsewhere or without end.
    """
    url: str | None = f"{api.endpoint}{path}"
    while url is not None:
        if urlsplit(url)[:2] != urlsplit(api.endpoint)[:2]:  # where the token must not go
            raise HubError("hub-answer", "the hub's list goes on elsewhere", file=path)
        page, url = _get(api, url, patience)
        if url is not None and not page:
            raise HubError("hub-answer", "the hub's list goes on without any more", file=path)
        yield page


def _get(api: HfApi, url: str, patience: Patience) -> tuple[Any, str | None]:
    """Returns an answer and the link to the next page, None where there is none."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined] # noqa: PLC0415 - 0.3 s
        get_session,
        hf_raise_for_status,
    )

    headers, timeout = headers_of(api.token), patience.timeout_seconds

    def get() -> tuple[Any, str | None]:
        with get_session().stream("GET", url, headers=headers, timeout=timeout) as answer:
            hf_raise_for_status(answer)
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    reason = f"the hub's answer has more bytes than the limit of {MOST_BYTES}"
                    raise HubError("hub-answer", reason, file=urlsplit(url).path)
            return json.loads(body), answer.links.get("next", {}).get("url")

    return patience.call(get)
