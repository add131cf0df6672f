"""Who a worker is to its master, and the master to it.

A master lets workers in by certificates of its cluster's CA, unless it was started with --insecure: then both sides show
the join token in the clear.
"""
import hashlib
import os
import re
import socket
import ssl
import sys
import time

import grpc
from cloudai.v1 import master_worker_pb2 as pb
from cloudai.v1 import master_worker_pb2_grpc as api
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# Every master has this name in its certificate, whatever its address is, and no worker has.
MASTER = "master.cloudai.internal"


def of(worker, folder, token):
    """What the join token asks for; without one what an earlier life got."""
    named = re.fullmatch(r"cai1-([0-9a-fA-F]{64})-.*", token)
    if named:
        return Certified(worker, folder, token, named[1].lower())
    return Plain(token) if token else Certified(worker, folder, "", None)


class Plain:
    """For a master that was started with --insecure."""

    def __init__(self, token):
        self.metadata = (("authorization", f"Bearer {token}"),)

    def join(self, address):
        pass

    def channel(self, address):
        return grpc.insecure_channel(address)

    def listen(self, server, address):
        return server.add_insecure_port(address)

    def is_master(self, context):
        shown = dict(context.invocation_metadata()).get("authorization", "")
        return shown == self.metadata[0][1]

    def renew(self, master):
        return False


class Certified:
    """A key, a certificate for it, and the CA that both sides are of, kept in a folder."""

    metadata = ()

    def __init__(self, worker, folder, token, pin):
        self.worker, self.folder, self.token, self.pin = worker, folder, token, pin
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.ca, self.certificate, self.key = (self.read(name) for name in ("ca.crt", "worker.crt", "worker.key"))

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def keep(self, name, content):
        """Whole or not at all, for nobody else to read."""
        path = os.path.join(self.folder, name)
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)

    def join(self, address):
        """Gets the first certificate, for the join token."""
        while not (self.certificate and self.life()[1] > time.time()):
            if not self.token or not address:
                sys.exit("error: the first start needs CLOUDAI_JOIN_TOKEN (cloudai worker token) and --master")
            try:
                self.ca = authority(address, self.pin)
                stub = api.MasterServiceStub(self.channel(address, shows=False))
                return self.enrol(stub, self.token)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    sys.exit(f"error: {error.details()}")
            except OSError as error:
                print(f"no master at {address}: {error}", file=sys.stderr, flush=True)
            time.sleep(1)

    def enrol(self, master, token):
        """The key is on the disk before anybody hears of it, and stays the same."""
        if not self.key:
            key = ec.generate_private_key(ec.SECP256R1())
            form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            self.key = key.private_bytes(*form)
            self.keep("worker.key", self.key)
        key = serialization.load_pem_private_key(self.key, None)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.worker)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        csr = csr.public_bytes(serialization.Encoding.PEM).decode()
        request = pb.EnrollRequest(token=token, worker_id=self.worker, csr_pem=csr)
        ack = master.EnrollWorker(request, timeout=10)
        self.keep("ca.crt", ack.ca_pem.encode())
        self.keep("worker.crt", ack.certificate_pem.encode())
        self.ca, self.certificate = ack.ca_pem.encode(), ack.certificate_pem.encode()
        print("certificate received", flush=True)

    def life(self):
        """From when until when the certificate is valid."""
        certificate = x509.load_pem_x509_certificate(self.certificate)
        return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()

    def renew(self, master):
        """Gets the next certificate when a third of the life is left; whether it did: new connections show it."""
        begin, end = self.life()
        if time.time() < end - (end - begin) / 3:
            return False
        try:
            self.enrol(master, "")
            return True
        except grpc.RpcError as error:
            print(f"certificate not renewed: {error.details()}", file=sys.stderr, flush=True)
            return False

    def channel(self, address, shows=True):
        own = (self.key, self.certificate) if shows else (None, None)
        options = [("grpc.ssl_target_name_override", MASTER)]
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(self.ca, *own), options)

    def listen(self, server, address):
        """Whoever calls has a certificate of the CA; `is_master` looks whose."""
        def shown():
            return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.ca)
        return server.add_secure_port(address, grpc.dynamic_ssl_server_credentials(shown(), shown, True))

    def is_master(self, context):
        return MASTER.encode() in context.auth_context().get("x509_subject_alternative_name", [])


def authority(address, pin):
    """The CA that a join token names by its hash, among what the master sends; nothing else there is believed."""
    host, port = address.rsplit(":", 1)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as plain:
        with context.wrap_socket(plain) as safe:
            # Python has it in public since 3.13.
            chain = getattr(safe, "get_unverified_chain", None) or safe._sslobj.get_unverified_chain
            for sent in chain():
                der = sent if isinstance(sent, bytes) else ssl.PEM_cert_to_DER_cert(sent.public_bytes())
                if hashlib.sha256(der).hexdigest() == pin:
                    return ssl.DER_cert_to_PEM_cert(der).encode()
    sys.exit(f"error: what answers at {address} is no master of the CA {pin}")
