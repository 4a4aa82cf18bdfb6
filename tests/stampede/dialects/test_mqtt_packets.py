"""The packets of MQTT: any split of the bytes gives the same packets, and lengths have up to four bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects import mqtt_packets as packets
from stampede.dialects.mqtt_packets import NOT_MQTT, PacketSplitter, body_of, parse_publish
from tests.stampede.dialects.splitting import cut

ACCEPTED = b"\x20\x02\x00\x00"
TOPICS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.none() | st.integers(1, packets.MAX_PACKET_ID)
SIZES = st.sampled_from([0, 1, 127 - 6, 128 - 6, 16_383 - 6, 16_384 - 6])


@st.composite
def server_packets(draw: st.DrawFn) -> bytes:
    """Return a packet that a server sends after it has accepted the connection."""
    number = draw(st.integers(1, packets.MAX_PACKET_ID)).to_bytes(2, "big")
    message = packets.publish(packets.topic_name("chat"), draw(st.binary(max_size=300)), draw(NUMBERS))
    others = [packets.packet(kind, number) for kind in (packets.PUBACK, packets.UNSUBACK)]
    granted = packets.packet(packets.SUBACK, number + b"\0")
    return draw(st.sampled_from([message, granted, *others, packets.packet(packets.PINGRESP, b"")]))


@given(st.lists(server_packets(), max_size=5), st.data())
def test_any_split_gives_the_same_packets(some: list[bytes], data: st.DataObject) -> None:
    splitter = PacketSplitter()
    some = [ACCEPTED, *some]
    assert [part for payload in cut(b"".join(some), data) for part in splitter.split(payload)] == some


def test_a_whole_packet_is_passed_on_as_it_is() -> None:
    splitter = PacketSplitter()
    assert splitter.split(ACCEPTED) == [ACCEPTED]
    payload = packets.publish(packets.topic_name("a"), b"hello", None)
    (found,) = splitter.split(payload)
    assert found is payload


@given(TOPICS, SIZES, NUMBERS)
def test_a_message_has_a_topic_a_number_for_qos_1_and_any_size(topic: str, size: int, number: int | None) -> None:
    payload = packets.publish(packets.topic_name(topic), b"x" * size, number)
    assert parse_publish(payload) == (topic, None if number is None else number.to_bytes(2, "big"), b"x" * size)


@pytest.mark.parametrize(
    ("length", "digits"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (2_097_152, "80808001")],
)
def test_lengths_are_those_of_the_standard(length: int, digits: str) -> None:
    payload = packets.packet(0x30, b"x" * length)
    assert payload[1:].removesuffix(b"x" * length).hex() == digits
    assert len(body_of(payload)) == length


def test_requests_are_those_of_the_standard() -> None:
    assert packets.connect("", "", "", 60).hex(" ") == "10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00"
    assert packets.connect("c", "u", "pw", 0).hex(" ") == (
        "10 14 00 04 4d 51 54 54 04 c2 00 00 00 01 63 00 01 75 00 02 70 77"
    )
    assert packets.subscribe(1, "a/b", 1).hex(" ") == "82 08 00 01 00 03 61 2f 62 01"
    assert packets.unsubscribe(10, "a").hex(" ") == "a2 05 00 0a 00 01 61"
    assert packets.puback(b"\0\7").hex(" ") == "40 02 00 07"


@pytest.mark.parametrize(
    "payload",
    [b'{"type":"welcome"}', b'0{"sid":"1"}', b"hello", b"\x30\x02\x00\x00", b"\xd0\x00", b"\x20\xff\xff\xff\xff\x01"],
)
def test_what_does_not_begin_as_mqtt_is_passed_on_at_once(payload: bytes) -> None:
    assert list(PacketSplitter().split(payload)) == [payload]


@pytest.mark.parametrize("payload", [b"hello", b"\x62\x02\x00\x01", b"\x30\x80\x80\x80\x80\x01"])
def test_what_is_no_packet_is_passed_on_behind_complete_packets(payload: bytes) -> None:
    splitter = PacketSplitter()
    assert list(splitter.split(ACCEPTED + payload)) == [ACCEPTED, payload]
    assert list(splitter.split(b"\xd0\x00")) == [b"\xd0\x00"]


@pytest.mark.parametrize("payload", [b"", b"\x30", b"\x30\x05\x00\x01a", b"\x30\x00", b"\x30\x02\x00\x01"])
def test_a_malformed_message_is_an_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match=NOT_MQTT):
        parse_publish(payload)


@given(st.binary())
def test_whatever_arrives_is_a_message_or_not_mqtt(payload: bytes) -> None:
    for part in PacketSplitter().split(ACCEPTED + payload):
        try:
            parse_publish(part)
        except ValueError as error:
            assert str(error) == NOT_MQTT  # noqa: PT017 # it may also be a message
