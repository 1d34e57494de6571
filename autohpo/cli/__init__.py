"""The command line ``autohpo``; a command loads what it needs when it is called, so help is there at once."""
