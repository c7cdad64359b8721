"""Signs in as root with PyMySQL, with and without TLS, twice each, and reads typed values. Arguments: port, password."""

import datetime
import decimal
import ssl
import sys

import pymysql

port, password = int(sys.argv[1]), sys.argv[2]
unverified = ssl.create_default_context()
unverified.check_hostname = False
unverified.verify_mode = ssl.CERT_NONE

for tls in (None, unverified):
    for _ in range(2):  # the second sign-in takes the fast path of caching_sha2_password
        options = {"ssl": tls} if tls else {"ssl_disabled": True}
        connection = pymysql.connect(host="127.0.0.1", port=port, user="root", password=password, **options)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1, CAST('1.50' AS DECIMAL(5,2)), CAST('2026-01-02' AS DATE), 'é', NULL")
            row = cursor.fetchone()
            expected = (1, decimal.Decimal("1.50"), datetime.date(2026, 1, 2), "é", None)
            assert row == expected, row
        connection.close()

try:
    pymysql.connect(host="127.0.0.1", port=port, user="root", password="wrong", ssl=unverified)
except pymysql.err.OperationalError as error:
    assert error.args[0] == 1045 and "using password: YES" in error.args[1], error.args
else:
    raise AssertionError("a wrong password signs in")

# A statement beyond max_allowed_packet is told so, in an answer that the driver can read.
connection = pymysql.connect(
    host="127.0.0.1", port=port, user="root", password=password, ssl=unverified, max_allowed_packet=1 << 30
)
try:
    connection.cursor().execute("SELECT '" + "x" * (65 << 20) + "'")
except pymysql.err.MySQLError as error:
    assert error.args[0] == 1153, error.args
else:
    raise AssertionError("65 MB are taken")
