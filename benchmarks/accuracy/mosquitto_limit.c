/* A plugin that gives Mosquitto 2 a known limit. Options in the configuration of the broker:
 *
 *     plugin_opt_work SECONDS   each message takes that much CPU time, with everything that the broker does for it
 *     plugin_opt_rate RATE      at most that many messages a second; the broker waits before each
 *
 * The declarations are those of mosquitto_plugin.h and mosquitto_broker.h, so that building it needs only a compiler.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PLUGIN_VERSION = 5, EVENT_MESSAGE = 7, SUCCESS = 0 };

struct mosquitto_opt {
  char *key;
  char *value;
};

typedef int (*mosquitto_callback)(int event, void *event_data, void *userdata);
int mosquitto_callback_register(void *identifier, int event, mosquitto_callback, const void *data, void *userdata);

static double work, interval;
static double used;    /* CPU time of the process at the end of the previous message */
static double free_at; /* when the next message may be published */

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

/* The CPU time since the previous message counts as work: a full core processes exactly 1 / work messages a second. */
static int on_message(int event, void *event_data, void *userdata) {
  (void)event, (void)event_data, (void)userdata;
  while (seconds(CLOCK_PROCESS_CPUTIME_ID) - used < work);
  used = seconds(CLOCK_PROCESS_CPUTIME_ID);
  double now = seconds(CLOCK_MONOTONIC);
  free_at = (free_at > now ? free_at : now) + interval;
  struct timespec until = {.tv_sec = (time_t)free_at, .tv_nsec = (long)((free_at - (time_t)free_at) * 1e9)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  return SUCCESS;
}

int mosquitto_plugin_version(int count, const int *versions) {
  for (int i = 0; i < count; i++)
    if (versions[i] == PLUGIN_VERSION) return PLUGIN_VERSION;
  return -1;
}

int mosquitto_plugin_init(void *identifier, void **userdata, struct mosquitto_opt *options, int count) {
  (void)userdata;
  for (int i = 0; i < count; i++) {
    double value = atof(options[i].value);
    if (strcmp(options[i].key, "work") == 0) work = value;
    if (strcmp(options[i].key, "rate") == 0 && value > 0) interval = 1 / value;
  }
  return mosquitto_callback_register(identifier, EVENT_MESSAGE, on_message, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int count) {
  (void)userdata, (void)options, (void)count;
  return SUCCESS;
}
