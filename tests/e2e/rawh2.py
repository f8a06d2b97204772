"""A client that speaks HTTP/2 by hand: what gRPC's own never would, as calls of headers alone, or
windows that stay closed. Reads as much of an answer as a test wants to know."""
import os
import socket
import ssl
import struct
import tempfile
import time

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4


def _frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class Connection:
    def __init__(self, address, ca, cert, window=None):
        """ca: PEM; cert: certificate and key, PEM; window: bytes of an answer that fit."""
        self.cert = cert
        host, _, port = address.rpartition(":")
        ctx = ssl.create_default_context(cadata=ca.decode())
        ctx.set_alpn_protocols(["h2"])
        with tempfile.TemporaryDirectory() as d:
            for name, text in zip(("crt", "key"), cert):
                with open(os.path.join(d, name), "wb") as f:
                    f.write(text)
            ctx.load_cert_chain(os.path.join(d, "crt"), os.path.join(d, "key"))
        self.sock = ctx.wrap_socket(socket.create_connection((host, int(port)), 60), server_hostname="joblet")
        self.sock.settimeout(0.02)
        settings = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, settings))
        self.last, self.got, self.closed = -1, b"", False
        self.headers = {}  # of each stream: all header blocks, as they came
        self.ended = set()  # streams

    def head(self, method, service="JobService"):
        """A call's headers; returns its stream."""
        self.last += 2
        fields = ((":method", "POST"), (":scheme", "https"), (":path", f"/joblet.{service}/{method}"),
                  (":authority", "joblet"), ("content-type", "application/grpc"), ("te", "trailers"))
        self.sock.sendall(_frame(HEADERS, END_HEADERS, self.last, b"".join(_literal(*f) for f in fields)))
        return self.last

    def message(self, stream, data=b"", last=False):
        body = b"\0" + struct.pack(">I", len(data)) + data
        self.sock.sendall(_frame(DATA, END_STREAM if last else 0, stream, body))

    def call(self, method, data=b""):
        stream = self.head(method)
        self.message(stream, data, last=True)
        return stream

    def reset(self, stream):
        self.sock.sendall(_frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))

    def _take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self.sock.sendall(_frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.sock.sendall(_frame(PING, ACK, 0, payload))
        elif kind == HEADERS:
            self.headers[stream] = self.headers.get(stream, b"") + payload
        if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self.ended.add(stream)

    def read(self):
        """Takes in all that has come; waits a moment for more."""
        try:
            while not self.closed:
                piece = self.sock.recv(1 << 20)
                self.closed = not piece
                self.got += piece
        except TimeoutError:
            pass
        except OSError:
            self.closed = True
        while len(self.got) >= 9 and len(self.got) >= 9 + int.from_bytes(self.got[:3], "big"):
            n = int.from_bytes(self.got[:3], "big")
            kind, flags, stream = struct.unpack(">BBI", self.got[3:9])
            self._take(kind, flags, stream & 0x7fffffff, self.got[9:9 + n])
            self.got = self.got[9 + n:]

    def wait(self, fn, what, seconds=100):
        deadline = time.monotonic() + seconds
        while not fn():
            if self.closed or time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s, closed={self.closed}: {what}")
            self.read()

    def told(self, words):
        """How many calls were answered with these words."""
        return sum(words.encode() in h for h in self.headers.values())

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
