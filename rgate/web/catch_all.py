"""A Flask application with one view for every path and method."""

from flask import Flask
from werkzeug.routing import BaseConverter, Rule


def catch_all(app: Flask, endpoint: str) -> None:
    """Let *endpoint* of *app* take every request. Its view gets the `path`, decoded and without its slash."""
    app.url_map.converters["everything"] = _Everything
    # A rule of werkzeug's own, as Flask's would take a list of methods, and any goes.
    app.url_map.add(Rule("/<everything:path>", endpoint=endpoint, merge_slashes=False))


class _Everything(BaseConverter):
    regex = r"[\s\S]*"  # a path may hold an encoded line feed
    part_isolating = False
