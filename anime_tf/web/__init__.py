"""Local web server: the page of ``deploy/web`` and its API, with a `Stylizer` behind it."""
