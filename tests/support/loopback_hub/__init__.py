"""A hub on 127.0.0.1 that the real huggingface_hub client reads from and writes to.

    with LoopbackHub() as hub:
        repository = hub.add("org/name", {"model.safetensors": Path(...), "README.md": b"#"})
        hub.add_token("hf_owner", "alice", write=("org",))   # HfApi(token="hf_owner")
        hub.add_token("hf_other", "bob", write=("bob",))     # may open pull requests on org/name
        hub.latency_seconds = 0.01                           # a request, at each origin
        hub.fail(Status(429, {"Retry-After": "0"}), path="/tree/", times=2)
        hub.fail(Cut(after=100), origin="content")           # the next request to the content
        hub.fail(Call(lambda: repository.commit({...})), path="/resolve/")  # main moves
        api = HfApi(endpoint=hub.endpoint, token="hf_owner")
        assert [(r.method, r.path, r.range) for r in hub.requests if r.origin == "content"] == ...
        assert all(r.token is None for r in hub.requests if r.origin != "hub")

Large files (`store.is_large`) are served by the content origin, a server on another port, at signed
links that `hub.expire_links()` closes; a third server, `hub.elsewhere`, stands for a host that is
none of the hub's. Files are bytes, or paths that go from disk to the socket by sendfile.
Text files are plain commits. New large files are refused, in the terms of LFS: with hf_xet about,
``HF_HUB_DISABLE_XET=1`` must be in the environment before huggingface_hub is imported.

By hand, ``PYTHONPATH=tests python -m support.loopback_hub FOLDER`` serves its folders ORG/NAME.

| module | holds |
|---|---|
| `store`, `discussions` | repositories: files, commits, branches; what is discussed |
| `messages`, `server` | requests and answers; the sockets |
| `hub`, `visits` | who answers what |
| `content`, `reads`, `models` | files; the API that reads; the list of models |
| `writes`, `community` | commits; discussions and pull requests |
| `accounts` | tokens, and what they may do |
| `faults` | what can go wrong on the way |
"""

from .faults import (
    Call,
    Cut,
    Fault,
    Garbage,
    Gzip,
    Headers,
    RangeIgnored,
    Redirect,
    Short,
    Stall,
    Status,
    WrongRange,
)
from .hub import LoopbackHub
from .messages import Answer, Request
from .store import Facts, Repository

__all__ = [
    "Answer",
    "Call",
    "Cut",
    "Facts",
    "Fault",
    "Garbage",
    "Gzip",
    "Headers",
    "LoopbackHub",
    "RangeIgnored",
    "Redirect",
    "Repository",
    "Request",
    "Short",
    "Stall",
    "Status",
    "WrongRange",
]
