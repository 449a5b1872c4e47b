"""Opens checkpoints: bytes to named tensors, lazily, from sources that are taken for hostile.

::

    disk, hub             the two adapters: a path, an id
    opening               from a folder to a checkpoint: selection, which of several files; index,
                          weight_sets, the shards of one checkpoint; pipelines, several components;
                          beside, what was not scanned
    folders               what files and folders are, wherever they lie
    files                 those of the disk: untrusted, read by offset
    hub_folder            those of a repository: hub_listing lists it, hub_ranges reads it over
                          hub_connections, hub_patience waits, hub_names and hub_errors are its
                          words
    formats               what a file is, by its content
    safetensors_format    the strict header validator, with strict_json
    torch_format          torch zip and legacy files (torch_zip, torch_legacy), whose pickle is read
                          by torch_pickle with the allow-list of torch_globals and never executed;
                          torch_state finds the weights in it, torch_layout their bytes
    lora_config, lora     an adapter applied to its base while it is read

To publish a report (`thermoscan.attaching`)::

    folder_publisher      into a folder
    hub_publisher         to the hub: a pull request, a commit, a comment

To run a model (`thermoscan.probe`)::

    transformers_runner   a checkpoint to a model that runs: transformers_choice which class,
                          transformers_state its weights, transformers_inputs its tokenizer,
                          transformers_tasks, _objectives and _batches what it is run on and asked,
                          transformers_quiet the library's words and errors
    data                  a path to examples: data_texts, data_pictures, data_datasets
    sample                the reference data
"""
