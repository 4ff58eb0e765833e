// Preloaded into a server: each fsync and fdatasync takes DELAY longer, and is written down when it has returned.
//
// SLOW_FLUSH_MS   how much longer, in milliseconds
// SLOW_FLUSH_LOG  the file that gets one line for each: begin and end in milliseconds since 1970, and the path
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_ms(long long ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) == -1 && errno == EINTR) {
    }
}

static void write_down(int fd, long long begin, long long end) {
    const char *log = getenv("SLOW_FLUSH_LOG");
    if (log == NULL) return;
    char link[64], path[4096], line[4200];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    int size = snprintf(line, sizeof line, "%lld %lld %s\n", begin, end, path);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out >= 0) {
        // One write: lines of several threads don't mix.
        if (size > 0 && write(out, line, (size_t)size) < 0) perror("slow_flush");
        close(out);
    }
}

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *delay = getenv("SLOW_FLUSH_MS");
    long long begin = now_ms();
    int result = real(fd);
    int error = errno;
    wait_ms(delay == NULL ? 0 : atoll(delay));
    write_down(fd, begin, now_ms());
    errno = error;
    return result;
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
