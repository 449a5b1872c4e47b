"""Renders a card as JSON, an HTML page, SVG pictures, a badge, Markdown and terminal text.

Every reporter first turns the card into plain frozen data (`page`, `layer_table`, `plot`), then
renders it, so that what is said can be tested apart from how it looks::

    card ─┬─ page, layer_table, plot ── html_report      one self-contained page
          ├─ plot ───────────────────── profile_svg      the temperature profile alone
          ├─ page ───────────────────── terminal, badge_svg, shields, section
          └─ thermoscan.card_io ─────── json_report

Every name from a checkpoint passes `thermoscan.text.printable` on its way into any of them; markup
is escaped on top of that by the templates, and by `markdown` for a model card.
"""
