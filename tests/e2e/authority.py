"""A certificate authority for tests, made with the openssl command.

    ca = Authority(folder)
    pair = ca.issue("a.test", names=["a.test", "*.b.test"])     # pair.pem, pair.key
"""

import os
import subprocess

KINDS = {
    "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-newkey", "rsa:2048"],
}


def openssl(*arguments, data=None, check=True):
    done = subprocess.run(("openssl",) + arguments, input=data, capture_output=True, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError("openssl %s: %s" % (" ".join(arguments), done.stderr.decode()))
    return done.stdout


class Pair:
    """Paths of a certificate (with its chain, if any) and its key."""

    def __init__(self, folder, name):
        self.name = name
        self.pem = os.path.join(folder, name + ".pem")
        self.key = os.path.join(folder, name + ".key")

    def serial(self):
        return openssl("x509", "-noout", "-serial", "-in", self.pem).decode().strip()

    def text(self, what):
        with open(getattr(self, what)) as file:
            return file.read()

    def replace(self, other, what=("pem", "key")):
        """Puts another pair's files in the place of ours, as renewal tools do: by rename."""
        for one in what:
            path = getattr(self, one)
            with open(path + ".new", "w") as out:
                out.write(other.text(one))
            os.chmod(path + ".new", 0o644)
            os.rename(path + ".new", path)


class Authority:
    """Signs certificates; keeps the database that openssl needs for revocation and OCSP."""

    def __init__(self, folder, name="ca", parent=None):
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self.parent = parent
        self.own = Pair(self.folder, name)
        subject = ["-subj", "/O=wproxy tests/CN=" + name]
        extension = ["-addext", "basicConstraints=critical,CA:TRUE",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        if parent is None:
            openssl("req", "-x509", *KINDS["ec"], "-nodes", "-keyout", self.own.key, "-out",
                    self.own.pem, "-days", "30", *subject, *extension)
        else:
            parent.sign(self.own, subject[1], extension[1::2], "ec")
        self.database = os.path.join(self.folder, "index.txt")
        open(self.database, "w").close()
        with open(os.path.join(self.folder, "ca.cnf"), "w") as out:
            out.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\n"
                      "default_crl_days=7\nunique_subject=no\n" % self.database)
        self.config = os.path.join(self.folder, "ca.cnf")

    @property
    def pem(self):
        return self.own.pem

    def sign(self, pair, subject, extensions, kind, days=20):
        request = pair.pem + ".csr"
        openssl("req", *KINDS[kind], "-nodes", "-keyout", pair.key, "-out", request,
                "-subj", subject)
        with open(pair.pem + ".ext", "w") as out:
            out.write("\n".join(extensions) + "\n")
        openssl("x509", "-req", "-in", request, "-CA", self.own.pem, "-CAkey", self.own.key,
                "-out", pair.pem, "-days", str(days), "-extfile", pair.pem + ".ext")
        os.chmod(pair.pem, 0o644)
        os.chmod(pair.key, 0o644)

    def issue(self, name, names=None, kind="ec", days=20, file=None, extra=(), chain=True):
        """A certificate for the names (default: the name); its PEM has the authorities behind it."""
        pair = Pair(self.folder, file or name + "-" + kind)
        alternatives = ",".join("DNS:" + n for n in names or [name])
        self.sign(pair, "/O=wproxy tests/CN=" + name,
                  ["subjectAltName=" + alternatives] + list(extra), kind, days)
        if chain and self.parent is not None:
            with open(pair.pem, "a") as out:
                out.write(self.own.text("pem"))
        return pair

    def revoke(self, pair):
        openssl("ca", "-config", self.config, "-cert", self.own.pem, "-keyfile", self.own.key,
                "-revoke", pair.pem)

    def note(self, pair):
        """Enters a certificate in the database as good, for OCSP."""
        openssl("ca", "-config", self.config, "-cert", self.own.pem, "-keyfile", self.own.key,
                "-valid", pair.pem)

    def crl(self):
        path = os.path.join(self.folder, "crl.pem")
        openssl("ca", "-config", self.config, "-cert", self.own.pem, "-keyfile", self.own.key,
                "-gencrl", "-out", path)
        os.chmod(path, 0o644)
        return path

    def ocsp(self, request=None, pair=None):
        """The DER answer to a DER request, or to one about the pair."""
        ask, answer = (os.path.join(self.folder, n) for n in ("ask.der", "answer.der"))
        if request is None:
            openssl("ocsp", "-issuer", self.own.pem, "-cert", pair.pem, "-reqout", ask,
                    "-no_nonce")
        else:
            with open(ask, "wb") as out:
                out.write(request)
        openssl("ocsp", "-index", self.database, "-CA", self.own.pem, "-rsigner", self.own.pem,
                "-rkey", self.own.key, "-reqin", ask, "-respout", answer, "-ndays", "2")
        with open(answer, "rb") as file:
            return file.read()
