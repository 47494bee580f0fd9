/* A failing disk and a wrong clock, for a program that loads this before the C library (LD_PRELOAD).
 *
 * The file NEXO_SHIM configures them, in one line that is read at each call:
 *
 *     <seconds> <fault> <errno> <one in>
 *
 * The clock is ahead by so many seconds. The fault is one of
 *
 *     none   nothing fails
 *     write  a write has no effect and fails
 *     torn   a write writes half and fails
 *     short  a write writes half and reports it
 *     sync   fsync and fdatasync fail
 *
 * with this errno, once in so many calls, and for files with "/pairing.db" in their path only.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct plan {
    long seconds;
    char fault[16];
    int error;
    unsigned one_in;
};

static void read_plan(struct plan *plan) {
    *plan = (struct plan){0, "none", 0, 1};
    const char *path = getenv("NEXO_SHIM");
    if (path == NULL) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return;
    char text[128] = {0};
    if (syscall(SYS_read, fd, text, sizeof text - 1) > 0)
        sscanf(text, "%ld %15s %d %u", &plan->seconds, plan->fault, &plan->error, &plan->one_in);
    syscall(SYS_close, fd);
}

static int is_database(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "/pairing.db") != NULL;
}

/* Whether this call fails: the first one to fail differs between processes. */
static int is_hit(const struct plan *plan) {
    static atomic_uint calls;
    unsigned number = atomic_fetch_add(&calls, 1) + (unsigned)getpid() * 7;
    return plan->one_in <= 1 || number % plan->one_in == 0;
}

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t at) {
    if (at < 0) return syscall(SYS_write, fd, bytes, length);
    return syscall(SYS_pwrite64, fd, bytes, length, at);
}

static ssize_t faulty_write(int fd, const void *bytes, size_t length, off_t at) {
    int before = errno;
    struct plan plan;
    read_plan(&plan);
    int fails = !strcmp(plan.fault, "write"), tears = !strcmp(plan.fault, "torn");
    int shortens = !strcmp(plan.fault, "short");
    if (!(fails || tears || shortens) || !is_database(fd) || !is_hit(&plan)) {
        errno = before;
        return write_at(fd, bytes, length, at);
    }
    if (shortens) return write_at(fd, bytes, length > 1 ? length / 2 : length, at);
    if (tears && length > 1) write_at(fd, bytes, length / 2, at);
    errno = plan.error;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return faulty_write(fd, bytes, length, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return faulty_write(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return faulty_write(fd, bytes, length, at);
}

static int faulty_sync(int fd, long call) {
    int before = errno;
    struct plan plan;
    read_plan(&plan);
    if (!strcmp(plan.fault, "sync") && is_database(fd) && is_hit(&plan)) {
        errno = plan.error;
        return -1;
    }
    errno = before;
    return (int)syscall(call, fd);
}

int fsync(int fd) { return faulty_sync(fd, SYS_fsync); }

int fdatasync(int fd) { return faulty_sync(fd, SYS_fdatasync); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int before = errno;
        struct plan plan;
        read_plan(&plan);
        now->tv_sec += plan.seconds;
        errno = before;
    }
    return result;
}
