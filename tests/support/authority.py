"""A certificate authority of the test's own."""
import os, subprocess

from gateway import work


def _openssl(*words):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", *words], check=True,
                   capture_output=True)


class Authority:
    """`file`: its certificate."""

    def __init__(self, name):
        self.directory = os.path.join(work, "authority-" + name)
        os.makedirs(self.directory)
        self.file, self._key = self.directory + "/ca.crt", self.directory + "/ca.key"
        _openssl("-subj", f"/CN=authority {name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self._key, "-out", self.file)

    def issue(self, common_name, address="127.0.0.1"):
        """(certificate, key) as files; of a server or a client."""
        crt, key = f"{self.directory}/{common_name}.crt", f"{self.directory}/{common_name}.key"
        _openssl("-subj", f"/CN={common_name}", "-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE",
                 "-CA", self.file, "-CAkey", self._key, "-keyout", key, "-out", crt)
        return crt, key
