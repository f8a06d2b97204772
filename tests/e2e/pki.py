"""Certificates for tests, made with the openssl program: a CA, and what it signs."""
import os
import subprocess

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def _run(args, **kw):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **kw)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr.decode()}")
    return done.stdout


def _read(path):
    with open(path, "rb") as f:
        return f.read()


class Authority:
    """A CA in a directory of its own."""

    def __init__(self, directory, name="Test-CA"):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.key_file = os.path.join(directory, "ca.key")
        self.crt_file = os.path.join(directory, "ca.crt")
        _run(["openssl", "req", "-x509", *EC, "-keyout", self.key_file, "-out", self.crt_file,
              "-days", "2", "-subj", f"/CN={name}"])
        self.pem = _read(self.crt_file)
        self.serial = 100

    def issue(self, subject, names=None, days=2, usage="clientAuth"):
        """Returns (certificate, key) as PEM bytes. names: subject alternative names."""
        self.serial += 1
        base = os.path.join(self.dir, f"c{self.serial}")
        ext = f"extendedKeyUsage={usage}\n"
        if names:
            ext += f"subjectAltName={names}\n"
        with open(base + ".ext", "w", encoding="ascii") as f:
            f.write(ext)
        _run(["openssl", "req", *EC, "-keyout", base + ".key", "-out", base + ".csr",
              "-subj", subject])
        _run(["openssl", "x509", "-req", "-in", base + ".csr", "-CA", self.crt_file,
              "-CAkey", self.key_file, "-set_serial", str(self.serial), "-days", str(days),
              "-extfile", base + ".ext", "-out", base + ".crt"])
        return _read(base + ".crt"), _read(base + ".key")

    def server(self):
        return self.issue("/CN=joblet-server", "DNS:joblet,DNS:localhost,IP:127.0.0.1",
                          usage="serverAuth")

    def client(self, role, days=2):
        return self.issue(f"/CN={role}-client/OU={role}", days=days)
