"""An authority of certificates, for tests in which clients or servers have to show one."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime.now(datetime.timezone.utc)
PEM = serialization.Encoding.PEM


def name(**parts):
    return x509.Name([x509.NameAttribute(getattr(x509.NameOID, oid), value) for oid, value in parts.items()])


class Authority:
    """Signs certificates; `file` holds its own, and the others lie beside it."""

    def __init__(self, folder, common_name):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name(ORGANIZATION_NAME="Acme, Inc.", COMMON_NAME=common_name)
        certificate = self.signed(self.name, self.key.public_key(), authority=True)
        self.file = folder / f"{common_name}.pem"
        self.file.write_bytes(certificate.public_bytes(PEM))

    def signed(self, subject, key, authority=False, days=1, address=None):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=2))
            .not_valid_after(NOW + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            certificate = certificate.add_extension(names, critical=False)
        return certificate.sign(self.key, hashes.SHA256())

    def client(self, file, days=1, address=None, **parts):
        """The files of a client's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.signed(name(**parts), key.public_key(), days=days, address=address)
        pem, key_file = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        pem.write_bytes(certificate.public_bytes(PEM))
        text = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key_file.write_bytes(text)
        return str(pem), str(key_file)

    def server(self, file):
        """The files of the certificate and the key of a server on loopback."""
        return self.client(file, address="127.0.0.1", COMMON_NAME=file)
