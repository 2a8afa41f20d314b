"""Certificates of an authority of the test's own, as files where Docker looks for them."""

import datetime
import ipaddress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY: Final = datetime.timedelta(days=1)
_USAGES: Final = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


class Authority:
    """Signs certificates, and is known by one of its own."""

    def __init__(self, name: str = "rgate's tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        key = self._key.public_key()
        builder = _builder(self._name, self._name, key, _now() + _DAY)
        can_sign = x509.BasicConstraints(ca=True, path_length=0)
        identity = x509.SubjectKeyIdentifier.from_public_key(key)
        self._certificate = (
            builder.add_extension(can_sign, critical=True)
            .add_extension(identity, critical=False)
            .add_extension(_for_signing(), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, directory: Path, *addresses: str, is_expired: bool = False) -> Path:
        """Write ca.pem, cert.pem and key.pem into *directory*, of whoever is at those *addresses*: Docker,
        or a client of its. Return the directory.
        """
        directory.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "docker")])
        ends = _now() - _DAY if is_expired else _now() + _DAY
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        )
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = _builder(name, self._name, key.public_key(), ends)
        if addresses:
            builder = builder.add_extension(names, critical=False)
        certificate = (
            builder.add_extension(x509.ExtendedKeyUsage(_USAGES), critical=False)
            .add_extension(signer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        (directory / "ca.pem").write_bytes(_pem(self._certificate))
        (directory / "cert.pem").write_bytes(_pem(certificate))
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / "key.pem").write_bytes(text)
        return directory


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, ends: datetime.datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=_now() - 3 * _DAY,
        not_valid_after=ends,
    )


def _for_signing() -> x509.KeyUsage:
    usages = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"),
        False,
    )
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, decipher_only=False, **usages
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
