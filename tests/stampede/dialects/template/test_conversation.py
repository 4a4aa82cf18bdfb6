"""Conversations of a file: what is sent, and what received messages mean."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.events import Acknowledged, Answer, Delivery, Event, Joined, Left, Opened, Refused
from tests.stampede.dialects.template.files import COMPLETE, FIELDS, PREFIX, SAY, STAMP, conversation_of, dialect_of

if TYPE_CHECKING:
    from stampede.dialects.base import Conversation

END = b"\x1e"
TWO_ROUNDS = """
[[open]]
send = '{"op":"hello","id":"{n}"}'
expect = {op = "challenge", id = "{n}"}
save = {nonce = "nonce"}
[[open]]
send = '{"op":"answer","nonce":"{nonce}","id":"{uuid}"}'
[[open]]
send = '{"op":"ready"}'
expect = {op = "ok"}
"""


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def acknowledged(talk: Conversation, *payloads: bytes) -> list[int | None]:
    """Return the numbers of the messages that the server acknowledges."""
    events = (event for payload in payloads for event in talk.receive(payload))
    return [event.number for event in events if isinstance(event, Acknowledged)]


def test_a_connection_opens_after_all_steps() -> None:
    talk = conversation_of(COMPLETE)
    assert list(talk.open()) == []
    assert talk.awaited == "{type = welcome} (open[1])"
    assert talk.receive(body(type="welcome")) == [Answer(b'{"op":"auth","token":"secret"}' + END)]
    assert talk.awaited == "{op = auth_ok} (open[2])"
    assert talk.receive(body(op="auth_ok")) == [Opened(message={"type": "", "op": "auth_ok"})]


def test_several_round_trips_may_repeat_what_was_received() -> None:
    talk = conversation_of(SAY + TWO_ROUNDS)
    assert list(talk.open()) == [b'{"op":"hello","id":"1"}']
    assert talk.receive(body(op="challenge", id="2", nonce=5))[0] != Opened()
    assert talk.receive(body(op="challenge", id="1", nonce=5)) == [
        Answer(b'{"op":"answer","nonce":"5","id":"uuid-1"}'),
        Answer(b'{"op":"ready"}'),
    ]
    assert isinstance(talk.receive(body(op="ok"))[0], Opened)


def test_a_refusal_has_the_reason_of_the_server() -> None:
    talk = conversation_of(COMPLETE)
    talk.open()
    talk.receive(body(type="welcome"))
    assert talk.receive(body(op="error", message="bad token")) == [Refused("refused: bad token", "connect")]


def test_an_answer_without_the_value_to_save_is_a_refusal() -> None:
    talk = conversation_of(SAY + TWO_ROUNDS)
    talk.open()
    answer = talk.receive(body(op="challenge", id="1"))
    assert answer == [Refused("no nonce to save in the answer", "connect")]


def test_messages_without_an_expected_answer_are_sent_at_once() -> None:
    dialect = dialect_of(f"{SAY}\n[[open]]\nsend = 'a'\n[[open]]\nsend = 'b'")
    assert not dialect.confirms_opening
    assert list(dialect.converse({}, []).open()) == [b"a", b"b"]


def test_rooms_are_joined_and_left_by_name() -> None:
    talk = conversation_of(COMPLETE)
    assert list(talk.join('"red"')) == [rb'{"op":"sub","channel":"\"red\""}' + END]
    assert list(talk.join("blue")) == [b'{"op":"sub","channel":"blue"}' + END]
    assert talk.receive(body(op="subscribed", channel="green")) == [
        Event(message={"type": "", "op": "subscribed", "channel": "green"})
    ]
    for room in ("blue", '"red"'):
        (joined,) = talk.receive(body(op="subscribed", channel=room))
        assert isinstance(joined, Joined)
        assert joined.room == room
    assert list(talk.leave("blue")) == [b'{"op":"unsub","channel":"blue"}' + END]


def test_a_join_may_be_refused_and_a_leave_confirmed() -> None:
    talk = conversation_of(
        f"{SAY}\n[join]\nsend = 'a'\nexpect = {{ok = true}}\nrefuse = {{ok = false}}\nreason = 'why'\n"
        "[leave]\nsend = 'b'\nexpect = {left = '{room}'}"
    )
    talk.join("red")
    assert talk.receive(body(ok=False, why="full")) == [Refused("refused: full", "join", room="red")]
    assert not isinstance(talk.receive(body(ok=True))[0], Joined)
    talk.leave("red")
    (left,) = talk.receive(body(left="red"))
    assert isinstance(left, Left)
    assert left.room == "red"


def test_values_saved_by_a_join_are_those_of_its_room() -> None:
    talk = conversation_of(
        "[join]\nsend = '{\"join\":\"{room}\"}'\nexpect = {room = '{room}'}\nsave = {key = 'key'}\n"
        '[say]\nsend = \'{"key":"{key}","text":"{text}"}\''
    )
    for room, key in (("red", "1"), ("blue", "2"), ("red", "3")):
        talk.join(room)
        talk.receive(body(room=room, key=key))
        assert json.loads(talk.say(room, "hi")) == {"key": key, "text": "hi"}
    assert json.loads(talk.say("blue", "hi"))["key"] == "2"


@given(st.text(), st.text(min_size=1))
def test_a_text_arrives_unchanged_with_its_stamp(text: str, room: str) -> None:
    dialect = dialect_of('[say]\nsend = \'{"room":"{room}","data":"{\\"text\\":\\"{text}\\"}"}\'')
    sent = json.loads(dialect.converse({}, [room]).say_stamped(room, PREFIX, dialect.escape(text)))
    assert sent["room"] == room
    assert json.loads(sent["data"]) == {"text": STAMP + text}


def test_acknowledgements_name_the_message_by_its_number() -> None:
    talk = conversation_of(COMPLETE)
    talk.join("red")  # is number 1 of the connection
    for text in ("a", "b", "c"):
        talk.say("red", text)
    numbers = [
        one.number
        for n in (4, 2, 3, 2, 1)
        for one in talk.receive(body(op="published", id=n))
        if hasattr(one, "number")
    ]
    assert numbers == [3, 1, 2]


def test_acknowledgements_name_the_message_by_its_uuid() -> None:
    talk = conversation_of('[say]\nsend = \'{"id":"{uuid}","text":"{text}"}\'\nack = {ok = \'{uuid}\'}')
    ids = [json.loads(talk.say("red", "hi"))["id"] for _ in range(3)]
    numbers = [
        event.number for key in reversed(ids) for event in talk.receive(body(ok=key)) if isinstance(event, Acknowledged)
    ]
    assert numbers == [3, 2, 1]


def test_acknowledgements_may_be_text() -> None:
    talk = conversation_of("escape = 'raw'\n[say]\nsend = '{n} {text}'\nack = {regex = '^OK {n}$'}")
    assert [talk.say("red", "hi") for _ in range(2)] == [b"1 hi", b"2 hi"]
    assert talk.receive(b"OK 2") == [Acknowledged(2, message={"type": "", "content": "OK 2"})]
    assert not isinstance(talk.receive(b"OK 3")[0], Acknowledged)


def test_acknowledgements_without_a_number_are_those_of_the_oldest_message() -> None:
    talk = conversation_of("[say]\nsend = '{\"data\":\"{text}\"}'\nack = {op = 'ok'}")
    talk.say("red", "hi")
    assert acknowledged(talk, body(op="ok")) == [None]


def test_the_own_echo_may_be_the_acknowledgement() -> None:
    content = '[say]\nsend = \'{"id":"{uuid}","text":"{text}"}\'\nack = {op = \'msg\', id = \'{uuid}\'}\n'
    for receive, kinds in (("[receive]\nmatch = {op = 'msg'}", [Acknowledged, Delivery]), ("", [Acknowledged])):
        dialect = dialect_of(content + receive)
        talk = dialect.converse({}, ["red"])
        sent = json.loads(talk.say_stamped("red", PREFIX, b"hi"))
        echo, other = body(op="msg", **sent), body(op="msg", id="x", text=sent["text"])
        assert dialect.find_stamp(echo) is None
        assert [type(event) for event in talk.receive(echo)] == kinds
        assert [type(event) for event in talk.receive(other)] == [Delivery]


def test_errors_are_labelled() -> None:
    talk = conversation_of(f"{SAY}\n[error]\nmatch = {{op = 'error'}}\nlabel = 'code'")
    assert talk.receive(body(op="error", code=429)) == [
        Refused("error: 429", message={"type": "", "op": "error", "code": 429})
    ]
    assert talk.receive(body(op="error", code=None))[0] == Refused(
        "error", message={"type": "", "op": "error", "code": None}
    )


def test_several_messages_may_be_errors() -> None:
    talk = conversation_of(f"{SAY}\n[[error]]\nmatch = {{op = 'error'}}\n[[error]]\nmatch = {{a = 1}}\nlabel = 'b'")
    assert talk.receive(body(op="error"))[0] == Refused("error", message={"type": "", "op": "error"})
    assert talk.receive(body(a=1, b="slow"))[0] == Refused("error: slow", message={"type": "", "a": 1, "b": "slow"})


def test_a_default_is_used_without_another_value() -> None:
    content = f"{SAY}\n[defaults]\npassword = ''\ntoken = 'guest'\n[open]\nsend = '{{password}}/{{token}}'"
    assert [*dialect_of(content).converse({}, []).open()] == [b"/guest"]
    assert [*dialect_of(content).converse({"token": "secret"}, []).open()] == [b"/secret"]
    dialect_of(content).check_columns([])
    address = dialect_of(f'path = "/?key={{key}}"\n{SAY}\n[defaults]\nkey = "a b"')
    assert address.request({}, []).query == "key=a%20b"


def test_pings_of_the_server_are_answered_and_own_ones_sent() -> None:
    talk = conversation_of(COMPLETE)
    assert talk.receive(body(op="ping", id=8)) == [
        Answer(b'{"op":"pong","id":"8"}' + END, message={"type": "", "op": "ping", "id": 8})
    ]
    assert list(talk.keepalive()) == [b'{"op":"ping"}' + END]
    assert list(conversation_of(SAY).keepalive()) == []


def test_typing_notices_name_the_room() -> None:
    assert conversation_of(COMPLETE).typing("red") == b'{"op":"typing","channel":"red"}' + END


# --- properties ---

EVENTS = [
    body(op="msg", data={"body": STAMP}),
    body(op="published", id=1),
    body(op="published", id=2),
    body(op="ping", id=3),
    body(op="own", data={"body": STAMP}),
    body(op="error", code="slow"),
    body(op="presence"),
]


def kinds(payloads: list[bytes]) -> Counter[tuple[str, Any]]:
    """Return the events of messages that arrive after two chat messages were sent."""
    dialect = dialect_of(COMPLETE)
    talk = dialect.converse({"token": ""}, ["red"])
    for text in ("a", "b"):
        talk.say("red", text)
    found: Counter[tuple[str, Any]] = Counter()
    for payload in payloads:
        for message in talk.split(payload):
            fields = dialect.find_stamp(message)
            events = talk.receive(message) if fields is None else [Delivery(fields)]
            found.update((type(event).__name__, repr(event)) for event in events)
    return found


EXPECTED = kinds([one + END for one in EVENTS])


def test_each_kind_of_message_has_its_event() -> None:
    names = Counter(name for name, _ in EXPECTED.elements())
    assert names == {"Delivery": 1, "Acknowledged": 2, "Answer": 1, "Refused": 1, "Event": 2}
    assert ("Delivery", repr(Delivery(FIELDS))) in EXPECTED


@given(st.permutations(EVENTS), st.data())
def test_any_order_and_any_split_of_the_stream_gives_the_same_events(order: list[bytes], data: st.DataObject) -> None:
    """Echoes, acknowledgements and pings come in any order, in frames of any length."""
    stream = b"".join(one + END for one in order)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
    assert kinds([stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]) == EXPECTED


@given(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=5))
def test_a_separator_between_messages_ends_none_at_the_end_of_a_frame(messages: list[bytes]) -> None:
    talk = conversation_of(f'separator = "\\n"\nends_with_separator = false\n{SAY}')
    assert list(talk.split(b"\n".join(messages))) == messages
    assert not talk.say("red", "hi").endswith(b"\n")
