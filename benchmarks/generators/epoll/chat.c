// The limit of a load generator: one thread offers the same chat load as the others, reads each socket as soon as it is
// readable, and looks at no more of a message than its type. It measures no latency.
//
//     chat HOST PORT CLIENTS ROOMS RATE SECONDS
//
// The load is open: message k is due at k / (CLIENTS * RATE), and the clients send in turn. A client whose socket
// buffer is full skips its message. At the end it waits for what has not arrived yet, at most DRAIN_SECONDS. It prints
// the number of deliveries as JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 64, EVENTS = 256, BUFFER_BYTES = 1 << 18, FRAME_BYTES = 1024 };
enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
static const double DRAIN_SECONDS = 2.0;

struct client {
  int fd;
  size_t room;
  unsigned char *carry;  // the beginning of a frame whose end has not arrived
  size_t carried, capacity;
  size_t unsent;  // bytes of the last chat message that the socket has not accepted
};

static struct client *clients;
static int poller;
static unsigned char buffer[BUFFER_BYTES], chat_message[FRAME_BYTES];
static size_t chat_message_bytes, joined;
static unsigned long long expected, deliveries;

static void fail(const char *reason) {
  fprintf(stderr, "%s\n", reason);
  exit(2);
}

static void fail_call(const char *call) {
  fprintf(stderr, "%s: %s\n", call, strerror(errno));
  exit(2);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
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

static void handle(struct client *client, int opcode, const unsigned char *payload, size_t bytes) {
  if (opcode == OP_TEXT) {
    if (is_type(payload, bytes, "{\"type\":\"chatMessage\"")) deliveries++;
    else if (is_type(payload, bytes, "{\"type\":\"roomJoined\"")) joined++;
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
  handle_frames(client, client->carried + got);
}

static void read_ready(int milliseconds) {
  struct epoll_event ready[EVENTS];
  int count = epoll_wait(poller, ready, EVENTS, milliseconds);
  if (count < 0 && errno != EINTR) fail_call("epoll_wait");
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
  while (joined == number) read_ready(-1);
}

// Send the rest of the client's last message, if any, and a new one unless the socket buffer is full.
static void send_chat_message(struct client *client, unsigned long long others) {
  int is_new = 0;
  while (!is_new) {
    size_t bytes = client->unsent ? client->unsent : chat_message_bytes;
    const unsigned char *start = chat_message + chat_message_bytes - bytes;
    ssize_t accepted = send(client->fd, start, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (accepted < 0 && errno == EAGAIN) return;
    if (accepted < 0) fail_call("send");
    is_new = !client->unsent;
    client->unsent = bytes - accepted;
    if (is_new) expected += others;
    else if (client->unsent) return;
  }
}

static void offer(size_t count, const unsigned long long *others, double rate, double seconds) {
  unsigned long long next = 0;
  double begin = now(), interval = 1 / (count * rate);
  for (double passed = 0; passed < seconds; passed = now() - begin) {
    for (; next * interval <= passed; next++) {
      struct client *client = &clients[next % count];
      send_chat_message(client, others[client->room]);
    }
    double wait = next * interval - passed;
    read_ready(wait > 0.1 ? 100 : (int)(wait * 1000) + 1);
  }
  for (double end = now() + DRAIN_SECONDS; deliveries < expected && now() < end;) read_ready(100);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: %s HOST PORT CLIENTS ROOMS RATE SECONDS\n", argv[0]);
    return 2;
  }
  size_t count = atol(argv[3]), rooms = atol(argv[4]);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("HOST is not an IPv4 address");
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  char text[TEXT_BYTES + 1] = {0}, message[FRAME_BYTES];
  memset(text, '.', TEXT_BYTES);
  int bytes = snprintf(message, sizeof message, "{\"type\":\"chatMessage\",\"text\":\"%s\"}", text);
  chat_message_bytes = build_frame(chat_message, OP_TEXT, message, bytes);

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
  printf("{\"deliveries\": %llu}\n", deliveries);
  return 0;
}
