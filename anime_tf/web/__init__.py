"""The local server: the page of ``deploy/web`` with the Stylizer behind it."""
