// Loaded before all other libraries: the wall clock is ahead by CLOCK_AHEAD_S seconds. The monotonic clock is not touched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  const char *ahead = getenv("CLOCK_AHEAD_S");
  if (result == 0 && clock == CLOCK_REALTIME && ahead) now->tv_sec += atol(ahead);
  return result;
}
