// An independent connect storm: one thread opens WebSockets, at most CONCURRENT at once, and keeps them open.
//
//     connects HOST PORT CLIENTS CONCURRENT
//
// A client is connected once the server's greeting has arrived. It prints the seconds from the first connect to the last
// greeting, and its own CPU seconds, as JSON. At the end all connections are reset.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, ANSWER_BYTES = 2048 };

struct client {
  int fd;
  int has_sent;  // whether the request was sent
  size_t received;
  char answer[ANSWER_BYTES];
};

static struct sockaddr_in address;
static char request[512];
static int request_bytes, poller;

static void fail(const char *reason) {
  fprintf(stderr, "%s\n", reason);
  exit(2);
}

static void fail_call(const char *call) {
  fprintf(stderr, "%s: %s\n", call, strerror(errno));
  exit(2);
}

static double seconds_of(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void watch(struct client *client, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.ptr = client};
  if (epoll_ctl(poller, operation, client->fd, &event)) fail_call("epoll_ctl");
}

static void start(struct client *client) {
  struct linger reset = {1, 0};
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (client->fd < 0) fail_call("socket");
  setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (connect(client->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail_call("connect");
  watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

// Send the request, or read the answer; return whether the greeting is complete.
static int advance(struct client *client) {
  if (!client->has_sent) {
    if (send(client->fd, request, request_bytes, MSG_NOSIGNAL) != request_bytes) fail_call("send");
    client->has_sent = 1;
    watch(client, EPOLL_CTL_MOD, EPOLLIN);
    return 0;
  }
  ssize_t got = recv(client->fd, client->answer + client->received, ANSWER_BYTES - client->received, 0);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got < 0) fail_call("recv");
  client->received += got;
  size_t known = client->received < 12 ? client->received : 12;
  if (!got || memcmp(client->answer, "HTTP/1.1 101", known)) fail("the server refused a client");
  if (!memmem(client->answer, client->received, "\"type\":\"connected\"", 18)) return 0;
  watch(client, EPOLL_CTL_DEL, 0);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s HOST PORT CLIENTS CONCURRENT\n", argv[0]);
    return 2;
  }
  size_t count = atol(argv[3]), concurrent = atol(argv[4]), started = 0, connected = 0;
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("HOST is not an IPv4 address");
  request_bytes = snprintf(request, sizeof request,
                           "GET /chat HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                           argv[1], argv[2]);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  struct client *clients = calloc(count, sizeof *clients);
  poller = epoll_create1(0);
  if (!clients || poller < 0) fail_call("start");
  double begin = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  while (connected < count) {
    for (; started < count && started - connected < concurrent; started++) start(&clients[started]);
    struct epoll_event ready[EVENTS];
    int number = epoll_wait(poller, ready, EVENTS, 60000);
    if (number < 0 && errno != EINTR) fail_call("epoll_wait");
    if (!number) fail("the server accepted no client within 60 s");
    for (int index = 0; index < number; index++) connected += advance(ready[index].data.ptr);
  }
  printf("{\"seconds\": %.6f, \"cpu\": %.6f}\n", seconds_of(CLOCK_MONOTONIC) - begin,
         seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return 0;
}
