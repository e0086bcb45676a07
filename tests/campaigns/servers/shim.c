/* Stands between a server and its machine: which bytes an fsync has made safe, a disk that is full, another clock.
 *
 * Preloaded (LD_PRELOAD). WEIR_SHIM names a folder with two files. `state`: two 64-bit numbers, mapped; how many
 * nanoseconds the clock is ahead, and whether the disk is full: 1, or 2 when the next write is cut in half first.
 * `synced`: a line for each fsync that succeeded, with the device, the inode, how large the file was before it, and from
 * when on the server may have answered what it had not written then: the last write before, in nanoseconds of the
 * monotonic clock. With `everysec` it answers without writing while an fsync is under way, or about to begin.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct {
    _Atomic int64_t ahead;
    _Atomic int64_t full;
} *state;
static int synced = -1;

static _Atomic int written_file = -1;
static _Atomic int64_t written_at, loaded_at;

static int64_t now(void) {
    struct timespec found;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &found);
    return found.tv_sec * 1000000000LL + found.tv_nsec;
}

__attribute__((constructor)) static void open_files(void) {
    const char *folder = getenv("WEIR_SHIM");
    char path[4096];
    if (!folder) return;
    loaded_at = now();
    snprintf(path, sizeof path, "%s/state", folder);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) abort();
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (state == MAP_FAILED) abort();
    close(file);
    snprintf(path, sizeof path, "%s/synced", folder);
    synced = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (synced < 0) abort();
}

/* --- what an fsync has made safe ---------------------------------------------------------------------------------- */

static int sync_file(int file, long number) {
    struct stat before;
    int64_t since = file == written_file ? written_at : loaded_at;
    int is_file = synced >= 0 && fstat(file, &before) == 0 && S_ISREG(before.st_mode);
    if (is_file && file != written_file) {
        written_at = loaded_at;
        written_file = file;
    }
    int result = (int)syscall(number, file);
    if (result == 0 && is_file) {
        char line[128];
        int length = snprintf(line, sizeof line, "%lu %lu %ld %lld\n", (unsigned long)before.st_dev,
                              (unsigned long)before.st_ino, (long)before.st_size,
                              (long long)since);
        syscall(SYS_write, synced, line, (size_t)length);
    }
    return result;
}

int fsync(int file) { return sync_file(file, SYS_fsync); }
int fdatasync(int file) { return sync_file(file, SYS_fdatasync); }

/* --- a disk that is full ------------------------------------------------------------------------------------------ */

static int is_refused(int file) {
    struct stat about;
    return state && state->full && file > 2 && fstat(file, &about) == 0 && S_ISREG(about.st_mode);
}

ssize_t write(int file, const void *bytes, size_t count) {
    if (file == written_file) written_at = now();
    if (is_refused(file)) {
        int64_t half = 2;
        if (count < 2 || !atomic_compare_exchange_strong(&state->full, &half, 1)) {
            errno = ENOSPC;
            return -1;
        }
        count /= 2;
    }
    return syscall(SYS_write, file, bytes, count);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    if (is_refused(file)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_writev, file, parts, count);
}

/* --- another clock: the monotonic one is left alone --------------------------------------------------------------- */

static int (*real_clock)(clockid_t, struct timespec *);

int clock_gettime(clockid_t which, struct timespec *found) {
    if (!real_clock) real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock(which, found);
    if (result == 0 && state && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        int64_t now = found->tv_sec * 1000000000LL + found->tv_nsec + state->ahead;
        found->tv_sec = now / 1000000000LL;
        found->tv_nsec = now % 1000000000LL;
    }
    return result;
}

int gettimeofday(struct timeval *found, void *zone) {
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
