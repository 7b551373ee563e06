/* Put before libc by LD_PRELOAD: writes down, in order, what is done to the files of one directory.
 *
 * ONHAND_RECORD_DIR is the directory, ONHAND_RECORD_TO the trace. An event is a kind (1 byte), a file (4), an offset
 * or a number (8) and a length (4), little endian, then so many bytes. The directory itself is file 0.
 * What is mapped into memory is not seen: of SQLite's files that is the WAL's index alone, which it never trusts
 * after a loss. A call that this file does not know how to write down ends the process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATED = 1, WRITTEN, TRUNCATED, SYNC_BEGUN, SYNC_ENDED, UNLINKED, RENAMED };
enum { FILES = 4096, NAMES = 256, DIRECTORY = 0, NONE = -1 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[3000];
static int trace = NONE;
static int of_descriptor[FILES];
static struct { char name[200]; int file; } names[NAMES];
static int next_file = 1;
static uint64_t syncs = 0;

#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static void give_up(const char *why) {
    fprintf(stderr, "record.c: %s\n", why);
    _exit(99);
}

__attribute__((constructor)) static void begin(void) {
    for (int i = 0; i < FILES; i++) of_descriptor[i] = NONE;
    const char *dir = getenv("ONHAND_RECORD_DIR"), *to = getenv("ONHAND_RECORD_TO");
    if (dir == NULL || to == NULL) return;
    snprintf(directory, sizeof directory, "%s", dir);
    trace = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (trace < 0) give_up("the trace cannot be opened");
}

static void event(uint8_t kind, int file, uint64_t number, const void *data, uint32_t length) {
    uint8_t head[17];
    head[0] = kind;
    memcpy(head + 1, &file, 4);
    memcpy(head + 5, &number, 8);
    memcpy(head + 13, &length, 4);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)data, length}};
    ssize_t whole = (ssize_t)(sizeof head + length);
    if (syscall(SYS_writev, trace, parts, 2) != whole) give_up("the trace cannot be written");
}

/* The name inside the directory; NULL where it is another's. */
static const char *inside(const char *path) {
    size_t length = strlen(directory);
    if (trace < 0 || path == NULL || strncmp(path, directory, length) != 0) return NULL;
    if (path[length] == 0) return path + length;
    return path[length] == '/' ? path + length + 1 : NULL;
}

static int *known(const char *name) {
    for (int i = 0; i < NAMES; i++)
        if (names[i].file != 0 && strcmp(names[i].name, name) == 0) return &names[i].file;
    return NULL;
}

static int name_it(const char *name, int file) {
    for (int i = 0; i < NAMES; i++)
        if (names[i].file == 0) {
            snprintf(names[i].name, sizeof names[i].name, "%s", name);
            names[i].file = file;
            return file;
        }
    give_up("too many names");
    return NONE;
}

static int of(int descriptor) {
    return descriptor >= 0 && descriptor < FILES ? of_descriptor[descriptor] : NONE;
}

static int opened(const char *path, int flags, mode_t mode, int (*really)(const char *, int, mode_t)) {
    const char *name = inside(path);
    if (name == NULL) return really(path, flags, mode);
    pthread_mutex_lock(&lock);
    int descriptor = really(path, flags, mode);
    if (descriptor >= FILES) give_up("too many descriptors");
    if (descriptor >= 0) {
        if (*name == 0) {
            of_descriptor[descriptor] = DIRECTORY;
        } else {
            int *there = known(name);
            int file = there != NULL ? *there : name_it(name, next_file++);
            if (there == NULL) event(CREATED, file, 0, name, (uint32_t)strlen(name));
            else if (flags & O_TRUNC) event(TRUNCATED, file, 0, NULL, 0);
            of_descriptor[descriptor] = file;
        }
    }
    pthread_mutex_unlock(&lock);
    return descriptor;
}

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

static int really_open(const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(name)                                     \
    int name(const char *path, int flags, ...) {       \
        va_list more;                                  \
        va_start(more, flags);                         \
        mode_t mode = mode_of(flags, more);            \
        va_end(more);                                  \
        return opened(path, flags, mode, really_open); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                 \
    int name(int at, const char *path, int flags, ...) {                             \
        va_list more;                                                                \
        va_start(more, flags);                                                       \
        mode_t mode = mode_of(flags, more);                                          \
        va_end(more);                                                                \
        if (path[0] == '/') return opened(path, flags, mode, really_open);           \
        if (of(at) != NONE) give_up("a file is opened by its directory");            \
        return (int)syscall(SYS_openat, at, path, flags, mode);                      \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int descriptor) {
    if (trace >= 0 && descriptor == trace) return 0;
    pthread_mutex_lock(&lock);
    if (of(descriptor) != NONE) of_descriptor[descriptor] = NONE;
    int result = (int)syscall(SYS_close, descriptor);
    pthread_mutex_unlock(&lock);
    return result;
}

static ssize_t written(int descriptor, const void *data, size_t length, int64_t at) {
    int file = of(descriptor);
    if (file == NONE) {
        return at < 0 ? syscall(SYS_write, descriptor, data, length)
                      : syscall(SYS_pwrite64, descriptor, data, length, at);
    }
    pthread_mutex_lock(&lock);
    int64_t from = at;
    if (at < 0) {
        struct stat found;
        if (fcntl(descriptor, F_GETFL) & O_APPEND) from = fstat(descriptor, &found) == 0 ? found.st_size : 0;
        else from = lseek(descriptor, 0, SEEK_CUR);
    }
    ssize_t done = at < 0 ? syscall(SYS_write, descriptor, data, length)
                          : syscall(SYS_pwrite64, descriptor, data, length, at);
    int kept = errno;
    if (done > 0) event(WRITTEN, file, (uint64_t)from, data, (uint32_t)done);
    pthread_mutex_unlock(&lock);
    errno = kept;
    return done;
}

ssize_t write(int descriptor, const void *data, size_t length) { return written(descriptor, data, length, -1); }
ssize_t pwrite(int descriptor, const void *data, size_t length, off_t at) {
    return written(descriptor, data, length, at);
}
ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t at) {
    return written(descriptor, data, length, at);
}
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (of(descriptor) != NONE) give_up("writev is not written down");
    return syscall(SYS_writev, descriptor, parts, count);
}
ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t at) {
    if (of(descriptor) != NONE) give_up("pwritev is not written down");
    return REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t)(descriptor, parts, count, at);
}
int fallocate(int descriptor, int mode, off_t from, off_t length) {
    if (of(descriptor) != NONE) give_up("fallocate is not written down");
    return (int)syscall(SYS_fallocate, descriptor, mode, from, length);
}
int posix_fallocate(int descriptor, off_t from, off_t length) {
    if (of(descriptor) != NONE) give_up("posix_fallocate is not written down");
    return REAL(int, "posix_fallocate", int, off_t, off_t)(descriptor, from, length);
}

static int truncated(int descriptor, off64_t length) {
    int file = of(descriptor);
    if (file == NONE) return (int)syscall(SYS_ftruncate, descriptor, length);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, descriptor, length);
    if (result == 0) event(TRUNCATED, file, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int descriptor, off_t length) { return truncated(descriptor, length); }
int ftruncate64(int descriptor, off64_t length) { return truncated(descriptor, length); }

/* What was written before the sync began is durable when it has ended; what is written meanwhile may be or not. */
static int synced(int descriptor, long call) {
    int file = of(descriptor);
    if (file == NONE) return (int)syscall(call, descriptor);
    pthread_mutex_lock(&lock);
    uint64_t number = ++syncs;
    event(SYNC_BEGUN, file, number, NULL, 0);
    pthread_mutex_unlock(&lock);
    int result = (int)syscall(call, descriptor);
    if (result == 0) {
        pthread_mutex_lock(&lock);
        event(SYNC_ENDED, file, number, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return result;
}
int fsync(int descriptor) { return synced(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return synced(descriptor, SYS_fdatasync); }

int unlink(const char *path) {
    const char *name = inside(path);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int kept = errno;
    int *file = name == NULL ? NULL : known(name);
    if (result == 0 && file != NULL) {
        event(UNLINKED, *file, 0, name, (uint32_t)strlen(name));
        *file = 0;
    }
    pthread_mutex_unlock(&lock);
    errno = kept;
    return result;
}

int rename(const char *from, const char *to) {
    if (inside(from) != NULL || inside(to) != NULL) give_up("rename is not written down");
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
