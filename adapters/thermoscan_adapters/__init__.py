"""Opens checkpoints: bytes to named tensors, lazily, from sources that are taken for hostile.

::

    disk, hub             the two adapters: a path, an id
    selection, index      which of several files; the shards of one checkpoint
    formats               what a file is, by its content
    files                 opening and reading untrusted files by offset
    safetensors_format    the strict header validator, with strict_json
    torch_format          torch zip and legacy files (torch_zip, torch_legacy), whose pickle is read
                          by torch_pickle with the allow-list of torch_globals and never executed;
                          torch_state finds the weights in it, torch_layout their bytes
    lora_config, lora     an adapter applied to its base while it is read
    hub_names, hub_errors names of repositories; every foreign error mapped at one boundary
"""
