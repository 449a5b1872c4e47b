"""Puts a report where readers look: a section in the model card, and the full card beside it.

::

    front_matter   the tag in the YAML, set by inserting text, never by writing YAML
    markers        where the section is, found as Markdown is read
    readme         both together, on the bytes of README.md
    weights        whether a card is true of the weights it goes beside
    plan           what changes, as values; the diff that shows it
    publishing     what a publisher is, and the road from a card to a published report

Nothing here opens a file or knows the network: publishers (`thermoscan_adapters.folder_publisher`,
`hub_publisher`) are found by entry point. What is published is text, shown before as a diff; it
can be undone by undoing one commit.
"""
