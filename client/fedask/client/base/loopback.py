"""Tells addresses of this machine from those of others, by their text alone.

Called by whatever listens or connects. Never looks a name up.
"""

import ipaddress


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address, not a name.

    Examples
    --------
    >>> is_address("::1"), is_address("localhost")
    (True, False)
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can connect to an address.

    Examples
    --------
    >>> is_loopback("127.0.0.2"), is_loopback("0.0.0.0"), is_loopback("localhost")
    (True, False, True)
    """
    return host == "localhost" or (
        is_address(host) and ipaddress.ip_address(host).is_loopback
    )
