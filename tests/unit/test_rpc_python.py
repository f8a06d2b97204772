#!/usr/bin/python3
"""src/rpc's server as python3-grpcio sees it, a client that shares none of our code.

Run by `make check` with builddir and srcdir in the environment.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SRC = os.environ.get("srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("builddir", SRC)
sys.path.insert(0, os.path.join(SRC, "tests", "e2e"))
sys.dont_write_bytecode = True

try:
    import grpc
    import grpc_client
except ImportError as e:
    print("skipped: %s (apt-get install python3-grpcio python3-grpc-tools)" % e)
    sys.exit(77)

CODE = grpc.StatusCode


class Server(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="joblet-rpc-")
        cls.server = subprocess.Popen(
            [os.path.join(BUILD, "tests/unit/rpc_test_server"), cls.dir.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        cls.address = cls.server.stdout.readline().strip()

    @classmethod
    def tearDownClass(cls):
        cls.server.stdin.close()
        status = cls.server.wait(timeout=100)
        cls.server.stdout.close()
        cls.dir.cleanup()
        if status:
            raise AssertionError("the server ended with %d" % status)

    def pem(self, name):
        with open(os.path.join(self.dir.name, name), "rb") as f:
            return f.read()

    def channel(self, who="admin", name="joblet", **options):
        cert = self.pem(who + ".crt") if who else None
        key = self.pem(who + ".key") if who else None
        ch = grpc_client.channel(self.address, self.pem("ca.crt"), cert, key, name, **options)
        self.addCleanup(ch.close)
        return ch

    def unary(self, method, request=b"", ch=None, **kwargs):
        call = (ch or self.channel()).unary_unary("/t.T/" + method)
        return call(request, timeout=100, **kwargs)

    def code(self, *args, **kwargs):
        return grpc_client.code_of(self.unary, *args, **kwargs)

    def test_unary(self):
        self.assertEqual(self.unary("Echo", b"hello"), b"hello")
        self.assertEqual(self.unary("Echo", b""), b"")

    def test_roles_come_from_the_certificate(self):
        self.assertTrue(self.unary("Who").startswith(b"a|admin|"))
        self.assertTrue(self.unary("Who", ch=self.channel("viewer")).startswith(b"v|viewer|"))

    def test_refusals(self):
        self.assertEqual(self.code("Fail", b"x"), (CODE.NOT_FOUND, "no such thing: x"))
        self.assertEqual(self.code("Other")[0], CODE.UNIMPLEMENTED)
        self.assertEqual(self.code("Secret", b"x" * 100000)[0], CODE.PERMISSION_DENIED)

    def test_certificates_that_do_not_do(self):
        for who in ("foreign", "expired", None):
            self.assertEqual(self.code("Who", ch=self.channel(who))[0], CODE.UNAVAILABLE, who)
        self.assertEqual(self.code("Who", ch=self.channel(name="other"))[0], CODE.UNAVAILABLE)

    def test_stream(self):
        call = self.channel().unary_stream("/t.T/Stream")
        sizes = [len(m) for m in call(b"10000 300", timeout=100)]
        self.assertEqual(sizes, [300] * 10000)

    def test_cancel_in_the_middle(self):
        ch = self.channel()
        call = ch.unary_stream("/t.T/Forever")(b"", timeout=100)
        self.assertEqual(next(call), b"one")
        threading.Timer(0.05, call.cancel).start()
        with self.assertRaises(grpc.RpcError) as caught:
            next(call)
        self.assertEqual(caught.exception.code(), CODE.CANCELLED)
        self.assertEqual(self.unary("Echo", b"on", ch=ch), b"on")

    def test_many_at_once(self):
        ch = self.channel()
        call = ch.unary_unary("/t.T/Echo")
        waiting = [call.future(b"%d" % i, timeout=100) for i in range(500)]
        self.assertEqual([f.result() for f in waiting], [b"%d" % i for i in range(500)])

    def test_deadline(self):
        call = self.channel().unary_unary("/t.T/Hang")
        begun = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            call(b"", timeout=0.3)
        self.assertEqual(caught.exception.code(), CODE.DEADLINE_EXCEEDED)
        self.assertLess(time.monotonic() - begun, 50)

    def test_64_mib(self):
        data = os.urandom(1 << 20) * 64
        self.assertEqual(self.unary("Echo", data), data)

    def test_over_the_limit(self):
        data = bytes((128 << 20) + 1)
        ch = self.channel(max_send_message_length=-1)
        self.assertEqual(self.code("Echo", data, ch=ch)[0], CODE.RESOURCE_EXHAUSTED)

    def test_compressed_is_refused(self):
        """A few bytes could unpack to anything."""
        code, _ = self.code("Echo", bytes(1 << 20), compression=grpc.Compression.Gzip)
        self.assertEqual(code, CODE.UNIMPLEMENTED)
        self.assertEqual(self.unary("Echo", b"still here"), b"still here")

    def test_no_request_message(self):
        call = self.channel().stream_unary("/t.T/Echo")
        code, words = grpc_client.code_of(call, iter(()), timeout=100)
        self.assertEqual(code, CODE.INVALID_ARGUMENT, words)

    def test_no_tls(self):
        with grpc.insecure_channel(self.address) as ch:
            self.assertEqual(self.code("Echo", ch=ch)[0], CODE.UNAVAILABLE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
