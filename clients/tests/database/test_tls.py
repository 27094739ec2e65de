"""TLS to the database, as [database] connection asks for it, on servers that insist on it.

What the address says of TLS is honoured or refused: a connection that an operator protected is never
made without that protection.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import sqlalchemy

from support.authority import Authority
from support.databases import run
from support.servers import REPOSITORY, Archstone, archstone_binary, under_test

pytestmark = pytest.mark.skipif(under_test() is not Archstone, reason="tests what Archstone promises")


class Files:
    """Certificates: the server's, a client's, the authority of both, and one that signed neither."""

    def __init__(self, folder):
        self.folder = folder
        authority = Authority(folder, "Database authority")
        self.authority = authority.file.rename(folder / "ca.pem")
        self.stranger = Authority(folder, "Other authority").file.rename(folder / "other.pem")
        self.server, self.server_key = authority.server("database")
        self.client, self.client_key = authority.client("client", COMMON_NAME="keystone")


@pytest.fixture(scope="module")
def files():
    # The servers run as other users, who have to get through.
    folder = Path(tempfile.mkdtemp(prefix="archstone-tls-"))
    folder.chmod(0o755)
    yield Files(folder)
    shutil.rmtree(folder)


def script(kind, *words):
    ran = subprocess.run([REPOSITORY / "scripts" / kind, *words], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def owned_by(files, user):
    """The key of the server in a file of that user: nobody else's is taken."""
    key = files.folder / f"{user}.key"
    shutil.copyfile(files.server_key, key)
    if os.getuid() == 0:
        shutil.chown(key, user, user)
    key.chmod(0o600)
    return key


@pytest.fixture(scope="module")
def mariadb(files):
    """A server with users that must use TLS, and one that must show a certificate: its address."""
    folder = files.folder / "mariadb"
    tls = [f"--ssl-cert={files.server}", f"--ssl-key={owned_by(files, 'mysql')}", f"--ssl-ca={files.authority}"]
    url = sqlalchemy.make_url(script("mariadb", "start", folder, *tls))
    run(
        url.set(drivername="mysql+pymysql"),
        "CREATE DATABASE keystone",
        "CREATE USER encrypted REQUIRE SSL",
        "CREATE USER certified REQUIRE X509",
        "GRANT ALL ON keystone.* TO encrypted, certified",
    )
    yield f"127.0.0.1:{url.port}/keystone"
    script("mariadb", "stop", folder)


@pytest.fixture(scope="module")
def postgres(files):
    """The same of PostgreSQL."""
    folder = files.folder / "postgres"
    access = files.folder / "pg_hba.conf"
    access.write_text(
        "hostssl all keystone 127.0.0.1/32 cert\nhostssl all encrypted 127.0.0.1/32 trust\n"
        "host all postgres 127.0.0.1/32 trust\n"
    )
    tls = {"ssl": "on", "ssl_cert_file": files.server, "ssl_key_file": owned_by(files, "postgres")}
    tls |= {"ssl_ca_file": files.authority, "hba_file": access}
    url = sqlalchemy.make_url(script("postgres", "start", folder, *[f"--{k}={v}" for k, v in tls.items()]))
    run(
        url.set(drivername="postgresql+psycopg2"),
        "CREATE ROLE encrypted LOGIN",
        "CREATE ROLE keystone LOGIN",
        "CREATE DATABASE keystone",
    )
    yield f"127.0.0.1:{url.port}/keystone"
    script("postgres", "stop", folder)


def connect(tmp_path, url, *more):
    """Asks the database for its revision: whether that works, and what is said."""
    file = tmp_path / "keystone.conf"
    file.write_text("\n".join(["[database]", f"connection = {url}", *more]))
    # libpq looks into the home folder.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [archstone_binary(), "db_version", "--config-file", file]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert (ran.returncode == 0) == (ran.stdout == "None\n"), ran
    return ran.returncode == 0, ran.stderr


# MariaDB


def mysql(user, place, *parameters):
    return f"mysql+pymysql://{user}@{place}?{'&'.join(parameters)}"


def test_mariadb_is_believed_when_its_certificate_is_of_the_named_authority(mariadb, files, tmp_path):
    for more in ([], ["ssl_verify_cert=true"], ["ssl_verify_identity=true"], ["charset=utf8"]):
        works, told = connect(tmp_path, mysql("encrypted", mariadb, f"ssl_ca={files.authority}", *more))
        assert works and not told, (more, told)
    works, told = connect(tmp_path, mysql("encrypted", mariadb), f"connection_parameters = ssl_ca={files.authority}")
    assert works, told


def test_mariadb_with_a_certificate_of_another_authority_is_refused(mariadb, files, tmp_path):
    for parameters in (
        [f"ssl_ca={files.stranger}"],
        [f"ssl_ca={files.stranger}", "ssl_verify_cert=true"],
        [f"ssl_ca={files.stranger}", "ssl_check_hostname=false"],
        # The public authorities then.
        ["ssl_verify_cert=true"],
        ["ssl_verify_identity=true"],
        ["ssl_mode=VERIFY_CA"],
    ):
        works, told = connect(tmp_path, mysql("encrypted", mariadb, *parameters))
        assert not works and "UnknownIssuer" in told, (parameters, told)
    works, told = connect(tmp_path, mysql("encrypted", mariadb), f"connection_parameters = ssl_ca={files.stranger}")
    assert not works and "UnknownIssuer" in told


def test_the_name_in_the_certificate_of_mariadb_counts(mariadb, files, tmp_path):
    elsewhere = mariadb.replace("127.0.0.1", "localhost")
    works, told = connect(tmp_path, mysql("encrypted", elsewhere, f"ssl_ca={files.authority}"))
    assert not works and "NotValidForName" in told or "not valid for name" in told, told
    works, told = connect(
        tmp_path, mysql("encrypted", elsewhere, f"ssl_ca={files.authority}", "ssl_check_hostname=false")
    )
    assert not works and "ssl_check_hostname=false: the name" in told, told


def test_mariadb_sees_the_certificate_of_the_client(mariadb, files, tmp_path):
    shown = [f"ssl_ca={files.authority}", f"ssl_cert={files.client}", f"ssl_key={files.client_key}"]
    works, told = connect(tmp_path, mysql("certified", mariadb, *shown))
    assert works, told
    works, told = connect(tmp_path, mysql("certified", mariadb, shown[0]))
    assert not works and "Access denied" in told
    # Both in one file, as PyMySQL takes them.
    both = tmp_path / "both.pem"
    both.write_text(Path(files.client).read_text() + Path(files.client_key).read_text())
    works, told = connect(tmp_path, mysql("certified", mariadb, shown[0], f"ssl_cert={both}"))
    assert works, told


def test_an_option_file_says_how_mariadb_is_reached(mariadb, files, tmp_path):
    options = tmp_path / "my.cnf"
    place = mariadb.replace("127.0.0.1", "")
    address = ["read_default_file=" + str(options), "read_default_group=keystone"]
    text = "[client]\nuser = nobody\n[keystone]\nuser = encrypted\nhost = 127.0.0.1\nssl\nssl-ca = {}\n"

    options.write_text(text.format(files.authority))
    works, told = connect(tmp_path, "mysql+pymysql://" + place + "?" + "&".join(address))
    assert works, told
    options.write_text(text.format(files.stranger))
    works, told = connect(tmp_path, "mysql+pymysql://" + place + "?" + "&".join(address))
    assert not works and "UnknownIssuer" in told
    options.unlink()
    works, told = connect(tmp_path, "mysql+pymysql://" + place + "?" + "&".join(address))
    assert not works and "read_default_file=" in told


def test_a_mariadb_without_tls_is_refused_where_tls_is_asked_for(mariadb, files, tmp_path):
    works, told = connect(tmp_path, mysql("encrypted", mariadb, "ssl_disabled=true"))
    assert not works and "Access denied" in told
    folder = files.folder / "plain"
    url = sqlalchemy.make_url(script("mariadb", "start", folder, "--skip-ssl"))
    try:
        plain = f"127.0.0.1:{url.port}/mysql"
        for parameter in (f"ssl_ca={files.authority}", "ssl_verify_cert=true", "ssl_mode=REQUIRED"):
            works, told = connect(tmp_path, mysql("root", plain, parameter))
            assert not works and "does not support TLS" in told, told
    finally:
        script("mariadb", "stop", folder)


def test_the_wait_for_a_galera_cluster_is_set_in_each_session(mariadb, files, tmp_path):
    address = mysql("encrypted", mariadb, f"ssl_ca={files.authority}")
    works, told = connect(tmp_path, address, "mysql_wsrep_sync_wait = 7")
    assert works, told
    # Above what there are, it is cut down with a warning; the server would refuse a word.
    assert not connect(tmp_path, address, "mysql_wsrep_sync_wait = all")[0]


# PostgreSQL


def psql(user, place, *parameters):
    return f"postgresql+psycopg2://{user}@{place}?{'&'.join(parameters)}"


def test_postgresql_is_believed_when_its_certificate_is_of_the_named_authority(postgres, files, tmp_path):
    root = f"sslrootcert={files.authority}"
    for parameters in (["sslmode=verify-full", root], ["sslmode=require"], [], ["sslmode=allow"]):
        works, told = connect(tmp_path, psql("encrypted", postgres, *parameters))
        assert works and not told, (parameters, told)
    for mode in ("verify-ca", "require"):
        works, told = connect(tmp_path, psql("encrypted", postgres, f"sslmode={mode}", root))
        assert works and f"sslmode={mode}" in told and "the name in the server's certificate" in told


def test_postgresql_with_a_certificate_of_another_authority_is_refused(postgres, files, tmp_path):
    stranger = f"sslrootcert={files.stranger}"
    for parameters in (
        ["sslmode=verify-full", stranger],
        ["sslmode=verify-ca", stranger],
        ["sslmode=require", stranger],
        ["sslmode=verify-full", "sslrootcert=system"],
    ):
        works, told = connect(tmp_path, psql("encrypted", postgres, *parameters))
        assert not works and "UnknownIssuer" in told, (parameters, told)
    # Where libpq looks by itself.
    (tmp_path / ".postgresql").mkdir()
    shutil.copyfile(files.stranger, tmp_path / ".postgresql" / "root.crt")
    for mode in ("require", "verify-full"):
        works, told = connect(tmp_path, psql("encrypted", postgres, f"sslmode={mode}"))
        assert not works and "UnknownIssuer" in told, told


def test_postgresql_without_tls_is_refused_where_tls_is_asked_for(postgres, files, tmp_path):
    works, told = connect(tmp_path, psql("encrypted", postgres, "sslmode=disable"))
    assert not works and "pg_hba.conf" in told
    works, told = connect(tmp_path, psql("encrypted", postgres, "sslmode=verify-full"))
    assert not works and "sslrootcert" in told


def test_postgresql_sees_the_certificate_of_the_client(postgres, files, tmp_path):
    shown = ["sslmode=verify-full", f"sslrootcert={files.authority}"]
    works, told = connect(
        tmp_path, psql("keystone", postgres, *shown, f"sslcert={files.client}", f"sslkey={files.client_key}")
    )
    assert works, told
    works, told = connect(tmp_path, psql("keystone", postgres, *shown))
    assert not works and "certificate" in told


# Both


@pytest.mark.parametrize(
    "parameter",
    [
        *("ssl_capath=/etc/ssl/certs", "ssl_key_password=x", "ssl_ca=/nowhere.pem", "ssl_ca=", "tls_version=x"),
        *("server_public_key=x", "read_default_file=/nowhere.cnf", "host=elsewhere", "ssl_verify_cert=perhaps"),
    ],
)
def test_a_parameter_of_mysql_that_protects_is_not_dropped(tmp_path, parameter):
    works, told = connect(tmp_path, f"mysql+pymysql://u@127.0.0.1:1/k?{parameter}")
    assert not works and "[database] connection cannot be used" in told, told
    assert parameter.split("=")[0] in told


@pytest.mark.parametrize(
    "parameter",
    [
        *("sslcrl=x", "sslpassword=x", "ssl_min_protocol_version=TLSv1.3", "channel_binding=require"),
        *("require_auth=scram-sha-256", "service=s", "target_session_attrs=read-write", "options=x"),
        *("sslmode=strict", "sslcert=/x", "host=a,b"),
    ],
)
def test_a_parameter_of_postgresql_that_protects_is_not_dropped(tmp_path, parameter):
    works, told = connect(tmp_path, f"postgresql://u@127.0.0.1:1/k?{parameter}")
    assert not works and "[database] connection cannot be used" in told, told


def test_parameters_without_effect_are_named(tmp_path):
    file = tmp_path / "k.db"
    works, told = connect(tmp_path, f"sqlite:///{file}?timeout=5")
    assert works and "[database] connection: timeout has no effect" in told
    works, told = connect(tmp_path, "mysql+pymysql://u:secret@127.0.0.1:1/k?plugin=dbcounter&connect_timeout=s3cret")
    assert not works and "plugin has no effect" in told and "connect_timeout has no effect" in told
    assert "secret" not in told and "s3cret" not in told
