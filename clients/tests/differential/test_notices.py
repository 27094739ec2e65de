"""What the differential test takes for equal, and what it notices."""

import datetime

import pytest
from differential.exchange import Answer
from differential.normal import Normaliser, same

HOST = "http://127.0.0.1:1000"
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)
KNOWN, ONE, OTHER = "a" * 32, "b" * 32, "c" * 32
REQUEST_ID = "req-0f8fad5b-d9cb-469f-a165-70867728950e"
HEADERS = {
    "Content-Type": "application/json",
    "Vary": "X-Auth-Token",
    "X-Subject-Token": "gAAAA" + "x" * 178,
    "x-openstack-request-id": REQUEST_ID,
}


def moment(**later):
    return (NOW + datetime.timedelta(**later)).isoformat()


BODY = (
    f'{{"items": [{{"id": "{ONE}", "name": "gr\\u00fcn", "of": "{KNOWN}", "until": "{moment(hours=1)}.000000Z"}}, '
    f'{{"id": "{OTHER}", "name": "b", "count": 1}}], "links": {{"self": "{HOST}/v3/items?of={KNOWN}"}}}}\n'
)


def aspects(body=BODY, headers=HEADERS, status=200, base=HOST, known=KNOWN, addresses=frozenset()):
    normaliser = Normaliser(base, addresses, {"someone": known}, NOW)
    return normaliser.answer(Answer(status, list(headers.items()), body), [])


def changed(old, new):
    assert old in BODY
    return BODY.replace(old, new)


@pytest.mark.parametrize(
    "other",
    [
        {"body": changed(ONE, "d" * 32)},
        {"body": changed(KNOWN, "d" * 32), "known": "d" * 32},
        {"body": changed(moment(hours=1)[:16], moment(hours=1, minutes=-2)[:16])},
        {"body": changed(HOST, "http://[::1]:2"), "base": "http://[::1]:2"},
        {"body": changed(HOST, "https://127.0.0.1:2"), "addresses": {"https://127.0.0.1:2"}},
        {"headers": HEADERS | {"Date": "today", "Server": "another"}},
        {"headers": HEADERS | {"X-Subject-Token": "gAAAA" + "y" * 178}},
        {"headers": HEADERS | {"x-openstack-request-id": REQUEST_ID.replace("0f8", "1f8")}},
    ],
)
def test_what_may_differ_does_not_count(other):
    assert same(aspects(**other), aspects())


def test_the_order_of_a_list_does_not_count():
    first, second = '{"id": "%s", "name": "a"}', '{"id": "%s", "name": "b"}'
    one = aspects(f'{{"items": [{first}, {second}]}}' % (ONE, OTHER))
    assert one == aspects(f'{{"items": [{second}, {first}]}}' % (ONE, OTHER))


@pytest.mark.parametrize(
    ("other", "aspect"),
    [
        ({"status": 201}, "status"),
        ({"body": BODY.rstrip()}, "form"),
        ({"body": BODY.replace(", ", ",").replace(": ", ":")}, "form"),
        ({"body": changed("\\u00fc", "ü")}, "form"),
        ({"body": changed(OTHER, ONE)}, "body"),
        ({"body": changed(KNOWN, OTHER)}, "body"),
        ({"body": changed('"count": 1', '"count": "1"')}, "body"),
        ({"body": changed('"count": 1', '"count": true')}, "body"),
        ({"body": changed(', "count": 1', "")}, "body"),
        ({"body": changed(".000000Z", ".000000")}, "body"),
        ({"body": changed(".000000Z", "Z")}, "body"),
        ({"body": changed(".000000Z", ".123456Z")}, "body"),
        ({"body": changed(moment(hours=1)[:16], moment(hours=2)[:16])}, "body"),
        ({"body": changed(HOST, "https://127.0.0.1:1000")}, "body"),
        ({"headers": HEADERS | {"Vary": "Origin"}}, "header vary"),
        ({"headers": HEADERS | {"X-Subject-Token": "gAAAA" + "x" * 199}}, "header x-subject-token"),
        ({"headers": HEADERS | {"x-openstack-request-id": "req-1"}}, "header x-openstack-request-id"),
        ({"headers": HEADERS | {"Content-Length": "7"}}, "header content-length"),
    ],
)
def test_what_a_client_could_tell_apart_is_noticed(other, aspect):
    mine, others = aspects(), aspects(**other)
    assert {name for name in mine | others if not same(mine.get(name), others.get(name))} == {aspect}


def test_a_header_that_is_missing_is_noticed():
    fewer = {name: value for name, value in HEADERS.items() if name != "Vary"}
    assert aspects().keys() - aspects(headers=fewer).keys() == {"header vary"}


def test_a_time_that_is_data_is_compared_as_it_stands():
    assert aspects('{"at": "2031-01-01T00:00:00.000000"}') != aspects('{"at": "2031-01-01T00:00:01.000000"}')
