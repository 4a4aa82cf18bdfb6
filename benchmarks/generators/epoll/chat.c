// The limit of a load generator: one thread offers the same chat load as the others, reads each socket as soon as it is
// readable, and looks at no more of a message than its type. With "timed" it also measures latencies.
//
//     chat HOST PORT CLIENTS ROOMS RATE SECONDS [timed]
//
// The load is open: message k is due at k / (CLIENTS * RATE), and the clients send in turn. A client whose socket
// buffer is full skips its message. At the end it waits for what has not arrived yet, at most DRAIN_SECONDS. It prints
// the number of deliveries as JSON, with the number that was expected.
//
// Each text carries the time at which its message was due. The latency of a delivery lasts from then until the read
// that received it, so it includes a late send. Messages due in the first WARM_UP_SECONDS are not timed. Timed, it also
// prints p50 and p99 of the latency, and p99 of the delay of sends, in ms; null without samples. Untimed it sends up to
// 1 ms late, so that it wakes up less often: both together save a tenth of its CPU.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 64, EVENTS = 256, BUFFER_BYTES = 1 << 18, FRAME_BYTES = 1024 };
enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { WARM_UP_SECONDS = 1, DRAIN_SECONDS = 2 };
enum { STAMP_DIGITS = 18, BUCKETS = 10 * 1000 * 1000 };  // a bucket has 1 us, the last one also all above
static const long long MILLISECOND = 1000 * 1000, SECOND = 1000 * 1000 * 1000;
static const char TEXT_START[] = "\"text\":\"@";  // the stamp follows

struct histogram {
  unsigned long long total;
  unsigned counts[BUCKETS];
};

struct client {
  int fd;
  size_t room;
  unsigned char *carry;  // the beginning of a frame whose end has not arrived
  size_t carried, capacity;
  size_t unsent;  // bytes of the last chat message that the socket has not accepted
  long long due;  // when that message was due
};

static struct client *clients;
static int poller, is_timed;
static unsigned char buffer[BUFFER_BYTES], chat_message[FRAME_BYTES], *stamp;  // the stamp in the message
static size_t chat_message_bytes, joined;
static unsigned long long expected, deliveries;
static long long begin, read_at;  // times of the load count from its begin
static struct histogram latencies, send_delays;

static void fail(const char *reason) {
  fprintf(stderr, "%s\n", reason);
  exit(2);
}

static void fail_call(const char *call) {
  fprintf(stderr, "%s: %s\n", call, strerror(errno));
  exit(2);
}

// Return the nanoseconds since the begin of the load.
static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * SECOND + time.tv_nsec - begin;
}

// Count the time between the moment at which a message was due and a later one.
static void record(struct histogram *histogram, long long due, long long later) {
  if (due < WARM_UP_SECONDS * SECOND) return;
  long long microseconds = (later - due) / 1000;
  histogram->counts[microseconds < BUCKETS ? microseconds : BUCKETS - 1]++;
  histogram->total++;
}

static void print_quantile(const struct histogram *histogram, const char *name, double quantile) {
  unsigned long long seen = 0;
  int bucket = 0;
  while (bucket < BUCKETS && (seen += histogram->counts[bucket]) <= quantile * histogram->total) bucket++;
  if (histogram->total) printf(", \"%s\": %.3f", name, bucket / 1e3);
  else printf(", \"%s\": null", name);
}

// Build the frame of a client. The mask is 0, which leaves the payload as it is.
static size_t build_frame(unsigned char *frame, int opcode, const void *payload, size_t bytes) {
  size_t head = bytes < 126 ? 2 : 4;
  if (head + 4 + bytes > FRAME_BYTES) fail("a frame is too large");
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (head == 2 ? bytes : 126);
  if (head == 4) {
    frame[2] = bytes >> 8;
    frame[3] = bytes & 0xff;
  }
  memset(frame + head, 0, 4);
  memcpy(frame + head + 4, payload, bytes);
  return head + 4 + bytes;
}

// Send a frame of the time outside of the load; the socket buffer has room for it.
static void send_frame(struct client *client, int opcode, const void *payload, size_t bytes) {
  unsigned char frame[FRAME_BYTES];
  size_t size = build_frame(frame, opcode, payload, bytes);
  if (send(client->fd, frame, size, MSG_NOSIGNAL) != (ssize_t)size) fail_call("send");
}

static int is_type(const unsigned char *payload, size_t bytes, const char *start) {
  size_t length = strlen(start);
  return bytes >= length && !memcmp(payload, start, length);
}

static void record_latency(const unsigned char *payload, size_t bytes) {
  const size_t start_bytes = sizeof TEXT_START - 1;
  const unsigned char *digit = memmem(payload, bytes, TEXT_START, start_bytes);
  if (!digit || payload + bytes < digit + start_bytes + STAMP_DIGITS) fail("a delivery has no stamp");
  long long due = 0;
  digit += start_bytes;
  for (const unsigned char *end = digit + STAMP_DIGITS; digit < end; digit++) due = due * 10 + (*digit - '0');
  record(&latencies, due, read_at);
}

static void handle(struct client *client, int opcode, const unsigned char *payload, size_t bytes) {
  if (opcode == OP_TEXT) {
    if (is_type(payload, bytes, "{\"type\":\"chatMessage\"")) {
      deliveries++;
      if (is_timed) record_latency(payload, bytes);
    } else if (is_type(payload, bytes, "{\"type\":\"roomJoined\"")) {
      joined++;
    }
  } else if (opcode == OP_PING && !client->unsent) {  // not inside of another frame
    send_frame(client, OP_PONG, payload, bytes);
  } else if (opcode == OP_CLOSE) {
    fail("the server closed a connection");
  }
}

// Handle the complete frames in the buffer and carry the rest over to the next read.
static void handle_frames(struct client *client, size_t bytes) {
  size_t at = 0;
  while (bytes - at >= 2) {
    size_t length = buffer[at + 1], head = length < 126 ? 2 : length == 126 ? 4 : 10;
    if (bytes - at < head) break;
    if (head > 2) {
      length = 0;
      for (size_t index = 2; index < head; index++) length = length << 8 | buffer[at + index];
    }
    if (head + length > BUFFER_BYTES) fail("a frame is too large");
    if (bytes - at < head + length) break;
    handle(client, buffer[at] & 0x0f, buffer + at + head, length);
    at += head + length;
  }
  client->carried = bytes - at;
  if (client->carried > client->capacity) {
    client->capacity = client->carried;
    client->carry = realloc(client->carry, client->capacity);
    if (!client->carry) fail_call("realloc");
  }
  if (client->carried) memcpy(client->carry, buffer + at, client->carried);
}

// Read once: what remains makes the socket readable again.
static void read_one(struct client *client) {
  if (client->carried) memcpy(buffer, client->carry, client->carried);
  ssize_t got = recv(client->fd, buffer + client->carried, BUFFER_BYTES - client->carried, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) fail_call("recv");
  if (!got) fail("the server closed a connection");
  if (is_timed) read_at = now();
  handle_frames(client, client->carried + got);
}

// Wait until a socket is readable, at most so many nanoseconds, and read what there is.
static void read_ready(long long wait) {
  struct epoll_event ready[EVENTS];
  struct timespec timeout = {wait / SECOND, wait % SECOND};
  int count = epoll_pwait2(poller, ready, EVENTS, &timeout, NULL);
  if (count < 0 && errno != EINTR) fail_call("epoll_pwait2");
  for (int index = 0; index < count; index++) read_one(ready[index].data.ptr);
}

// Open a WebSocket and watch it; what follows the response is handled at once.
static void open_socket(struct client *client, const struct sockaddr_in *address, const char *host) {
  int on = 1;
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (client->fd < 0 || connect(client->fd, (const struct sockaddr *)address, sizeof *address)) fail_call("connect");
  setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  char request[512];
  int bytes = snprintf(request, sizeof request,
                       "GET /chat HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                       host, ntohs(address->sin_port));
  if (send(client->fd, request, bytes, MSG_NOSIGNAL) != bytes) fail_call("send");
  size_t have = 0;
  unsigned char *end = NULL;
  while (!end) {
    ssize_t got = recv(client->fd, buffer + have, BUFFER_BYTES - have, 0);
    if (got < 0) fail_call("recv");
    if (!got || memcmp(buffer, "HTTP/1.1 101", have + got < 12 ? have + got : 12)) fail("the server refused a client");
    have += got;
    end = memmem(buffer, have, "\r\n\r\n", 4);
  }
  have -= end + 4 - buffer;
  memmove(buffer, end + 4, have);
  handle_frames(client, have);
  struct epoll_event watch = {.events = EPOLLIN, .data.ptr = client};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &watch)) fail_call("epoll_ctl");
}

// Join the client's room, and wait for the answer.
static void join(struct client *client, size_t number) {
  char text[128];
  int bytes = snprintf(text, sizeof text, "{\"type\":\"setUsername\",\"username\":\"epoll-%zu\"}", number);
  send_frame(client, OP_TEXT, text, bytes);
  bytes = snprintf(text, sizeof text, "{\"type\":\"joinRoom\",\"room\":\"room-%zu\"}", client->room);
  send_frame(client, OP_TEXT, text, bytes);
  while (joined == number) read_ready(SECOND);
}

static void write_stamp(long long due) {
  for (int index = STAMP_DIGITS - 1; index >= 0; index--, due /= 10) stamp[index] = '0' + due % 10;
}

// Send the rest of the client's last message, if any, and a new one unless the socket buffer is full.
static void send_chat_message(struct client *client, unsigned long long others, long long due) {
  int is_new = 0;
  while (!is_new) {
    write_stamp(client->unsent ? client->due : due);
    size_t bytes = client->unsent ? client->unsent : chat_message_bytes;
    const unsigned char *start = chat_message + chat_message_bytes - bytes;
    ssize_t accepted = send(client->fd, start, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (accepted < 0 && errno == EAGAIN) return;
    if (accepted < 0) fail_call("send");
    is_new = !client->unsent;
    client->unsent = bytes - accepted;
    if (!is_new && client->unsent) return;
  }
  client->due = due;
  expected += others;
  if (is_timed) record(&send_delays, due, now());
}

static void offer(size_t count, const unsigned long long *others, double rate, double seconds) {
  unsigned long long next = 0;
  double interval = SECOND / (count * rate);
  begin = now();
  for (long long passed = 0; passed < seconds * SECOND; passed = now()) {
    for (; next * interval <= passed; next++) {
      struct client *client = &clients[next % count];
      send_chat_message(client, others[client->room], next * interval);
    }
    long long wait = next * interval - passed;
    if (!is_timed) wait = (wait / MILLISECOND + 1) * MILLISECOND;
    read_ready(wait < SECOND / 10 ? wait : SECOND / 10);
  }
  for (long long end = now() + DRAIN_SECONDS * SECOND; deliveries < expected && now() < end;) read_ready(SECOND / 10);
}

int main(int argc, char **argv) {
  is_timed = argc == 8 && !strcmp(argv[7], "timed");
  if (argc != 7 && !is_timed) {
    fprintf(stderr, "usage: %s HOST PORT CLIENTS ROOMS RATE SECONDS [timed]\n", argv[0]);
    return 2;
  }
  size_t count = atol(argv[3]), rooms = atol(argv[4]);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("HOST is not an IPv4 address");
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  prctl(PR_SET_TIMERSLACK, 1UL);  // nanoseconds; by default waits end up to 50 us late

  char rest[TEXT_BYTES] = {0}, message[FRAME_BYTES];
  memset(rest, '.', TEXT_BYTES - 1);  // the text is "@", the stamp, and points
  int bytes = snprintf(message, sizeof message, "{\"type\":\"chatMessage\",%s%s\"}", TEXT_START, rest);
  chat_message_bytes = build_frame(chat_message, OP_TEXT, message, bytes);
  stamp = (unsigned char *)strchr((char *)chat_message + chat_message_bytes - bytes, '@') + 1;

  clients = calloc(count, sizeof *clients);
  unsigned long long *others = calloc(rooms, sizeof *others);
  poller = epoll_create1(0);
  if (!clients || !others || poller < 0) fail_call("start");
  for (size_t number = 0; number < count; number++) {
    clients[number].room = number % rooms;
    others[number % rooms] += number >= rooms;
    open_socket(&clients[number], &address, argv[1]);
    join(&clients[number], number);
  }
  offer(count, others, atof(argv[5]), atof(argv[6]));
  printf("{\"deliveries\": %llu, \"expected\": %llu", deliveries, expected);
  print_quantile(&latencies, "p50_ms", 0.5);
  print_quantile(&latencies, "p99_ms", 0.99);
  print_quantile(&send_delays, "send_delay_p99_ms", 0.99);
  puts("}");
  return 0;
}
