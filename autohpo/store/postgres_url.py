"""URLs of PostgreSQL stores: what they say, and how they are shown without their secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from autohpo.errors import OptionError, shown

SCHEMES = ("postgresql", "postgres")

FORM = "postgresql://user@host/database/study"
"""The form of a URL, for errors."""

STUDY = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""The name of a study: it is also the beginning of the name of its folder."""

SHOWN = (
    *("host", "hostaddr", "port", "user", "connect_timeout", "application_name", "target_session_attrs"),
    *("sslmode", "sslrootcert", "sslcrl", "sslcert", "sslkey", "sslsni", "sslnegotiation", "channel_binding"),
    *("gssencmode", "load_balance_hosts", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "ssl_min_protocol_version", "ssl_max_protocol_version", "require_auth", "service"),
)
"""The connection parameters of libpq that are shown; the value of any other might be a secret."""

HIDDEN = ("password", "passfile", "sslpassword", "options", "krbsrvname", "gsslib", "gssdelegation", "requirepeer")
"""The other ones that a URL may have."""

OWN = "files"
"""The parameter that is not libpq's: the folder in which the folder of the study's files is made."""

_HOST = r"(\[[0-9A-Za-z:.%]+\]|[^:\[\]\s]*)(?::(\d{0,5}))?"
_ESCAPED = "write '@', ':', '/' and '?' in a user or password as %40, %3A, %2F and %3F"
_HIDDEN_NAME = r"(?i)pass|pwd|secret|token|key|auth|cred"


class Place(str):
    """Where a study is kept, to be shown: its URL without password and parameters.

    Attributes:
        name: The name of the study.
    """

    __slots__ = ("name",)
    name: str

    @classmethod
    def of(cls, text: str, name: str) -> Place:
        """Return a place with its name."""
        place = cls(text)
        place.name = name
        return place


@dataclass(frozen=True, repr=False)
class PostgresUrl:
    """What the URL of a PostgreSQL store says.

    Attributes:
        parameters: The connection parameters for libpq, secrets among them.
        database: The name of the database.
        study: The name of the study; the empty string where the URL names a database alone.
        folder: The folder in which that of the study's files is made; None where the URL names none.
    """

    parameters: Mapping[str, str]
    database: str
    study: str
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"PostgresUrl({str(self.place)!r})"

    @property
    def place(self) -> Place:
        """The URL without password and parameters."""
        hosts = self.parameters.get("host", "").split(",")
        ports = self.parameters.get("port", "").split(",")
        ports = ports if len(ports) == len(hosts) else ports * len(hosts)
        named = [_host_text(host, port) for host, port in zip(hosts, ports, strict=False)]
        user = self.parameters.get("user")
        who = "" if user is None else f"{quote(user, safe='')}@"
        path = "/".join(quote(part, safe="") for part in (self.database, self.study) if part)
        return Place.of(f"postgresql://{who}{','.join(named)}/{path}", self.study or self.database)

    @property
    def address(self) -> str:
        """The URL without its secrets: another process that gets the password elsewhere may use it."""
        in_place = ("user", "host", "port")
        shown_ones = {n: v for n, v in self.parameters.items() if n in SHOWN and n not in in_place}
        host = self.parameters.get("host", "")
        if host.startswith("/"):
            shown_ones["host"] = host
        if self.folder is not None:
            shown_ones[OWN] = str(self.folder)
        query = "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in shown_ones.items())
        return str(self.place) + ("?" + query if query else "")

    def secrets(self) -> Iterator[str]:
        """Yield every value that must not be shown."""
        yield from (value for name, value in self.parameters.items() if name not in SHOWN and value)


def _host_text(host: str, port: str) -> str:
    if host.startswith("/"):  # the folder of a socket
        return ""
    text = f"[{host}]" if ":" in host else host
    return f"{text}:{port}" if port else text


def is_postgres(url: object) -> bool:
    """Return whether a store's URL is one of PostgreSQL."""
    return isinstance(url, str) and url.partition("://")[0].lower() in SCHEMES and "://" in url


def with_study(url: str, study: str) -> str:
    """Return the URL of another study of the same database.

    Args:
        url: The URL of a study, or of a database.
        study: The name of the other study.
    """
    location, mark, query = url.partition("?")
    head = location.removesuffix("/")
    if parse_url(url).study:
        head = head.rpartition("/")[0]
    return f"{head}/{study}{mark}{query}"


def redacted(url: object) -> str:
    """Return the URL or path of a store as it may be printed, logged and kept: without secrets.

    Args:
        url: The URL or path, of whatever kind; it may be malformed.
    """
    text = str(url)
    scheme, mark, rest = text.partition("://")
    if not mark or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return text
    if is_ours := is_postgres(text):
        try:
            return parse_url(text).address
        except OptionError:
            pass  # nobody knows which part of it is the password
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    head, mark_of_query, query = rest.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    hidden = [
        name + sign + ("***" if value and (is_ours or re.search(_HIDDEN_NAME, name)) else value)
        for name, sign, value in pairs
    ]
    return f"{scheme}://{head}{mark_of_query}{'&'.join(hidden)}"


def parse_url(text: str) -> PostgresUrl:
    """Return what a URL says.

    Raises:
        OptionError: It is malformed; the text has no secret.
    """
    _, _, rest = text.partition("://")
    location, _, query = rest.partition("?")
    authority, _, path = location.partition("/")
    userinfo, at, hosts = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    found: dict[str, str] = {}
    if at and user:
        found["user"] = unquote(user)
    if colon:
        found["password"] = unquote(password)
    found |= _hosts(hosts)
    if "@" in path:
        raise OptionError(f"store: must have the form {FORM!r}, got a URL with '@' in its path; {_ESCAPED}")
    parts = path.removesuffix("/").split("/") if path else [""]
    names = [unquote(part) for part in parts]
    if not 1 <= len(names) <= 2 or not names[0]:
        raise OptionError(f"store: must have the form {FORM!r}, got a URL whose path is not 'database/study'")
    if len(names) == 2 and not re.fullmatch(STUDY, names[1]):
        raise OptionError(
            "store: the name of a study must be 1 to 100 letters, digits, '.', '_' or '-', the first a letter or a "
            f"digit, got {shown(names[1])}"
        )
    folder: Path | None = None
    for name, value in _pairs(query):
        if name == OWN:
            folder = _folder(value)
        else:
            found[_checked(name)] = value
    if any("\0" in value for value in (*found.values(), *names)):
        raise OptionError("store: the URL must have no NUL character, got %00 in it")
    return PostgresUrl(found, names[0], names[1] if len(names) == 2 else "", folder)


def _hosts(text: str) -> dict[str, str]:
    """Return the parameters of one or several hosts, of which libpq takes the first that lets it in."""
    if not text:
        return {}
    found = [re.fullmatch(_HOST, one) for one in text.split(",")]
    if not all(found):
        raise OptionError(
            f"store: must have the form {FORM!r}, got a URL whose host and port cannot be read; {_ESCAPED}"
        )
    hosts = [unquote(match[1]).strip("[]") for match in found if match]
    ports = [match[2] or "" for match in found if match]
    parameters = {"host": ",".join(hosts)} if any(hosts) else {}
    return parameters | ({"port": ",".join(ports)} if any(ports) else {})


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise OptionError("store: the parameters of the URL must be name=value, joined with '&'") from None


def _checked(name: str) -> str:
    if name in SHOWN or name in HIDDEN:
        return name
    near = difflib.get_close_matches(name, (*SHOWN, *HIDDEN, OWN), 1)
    hint = f"; did you mean {near[0]!r}?" if near else f". Parameters: {', '.join((OWN, *SHOWN, *HIDDEN))}"
    raise OptionError(f"store: must have parameters that libpq knows, got {shown(name, 40)}{hint}")


def _folder(value: str) -> Path:
    if not value:
        raise OptionError("store: files must be a folder, got an empty one")
    return Path(value).absolute()
