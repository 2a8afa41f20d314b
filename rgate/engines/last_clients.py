"""Letting nobody new in on a listener, before it is closed: whom the kernel lets in between is reset."""

import contextlib
import ctypes
import socket
import struct
from typing import Final

_SO_ATTACH_FILTER: Final = getattr(socket, "SO_ATTACH_FILTER", 26)  # Linux's, but for sparc and parisc

# Classic BPF over a packet from its TCP header on (RFC 9293 3.1): what asks for a connection (SYN without
# ACK) is dropped, and all else kept, so that who was answered already comes in.
_LOAD_BYTE, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
_FLAGS_AT, _SYN, _ACK = 13, 0x02, 0x10
_PROGRAM: Final = [
    (_LOAD_BYTE, 0, 0, _FLAGS_AT),
    (_AND, 0, 0, _SYN | _ACK),
    (_JUMP_IF_EQUAL, 0, 1, _SYN),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, 0xFFFFFFFF),
]


def let_nobody_in(listener: socket.socket) -> None:
    """Have the kernel drop who asks for a connection to *listener* from now on; whoever was let in stays.

    To be called where no other process holds *listener*, as they share it. A client asks again after a
    second (RFC 6298 2), and is refused then. Where the system knows no such filter (socket(7),
    SO_ATTACH_FILTER), nothing happens.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _PROGRAM))
    with contextlib.suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), ctypes.addressof(code))
        )
