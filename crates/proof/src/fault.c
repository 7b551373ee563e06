/* Put before libc by LD_PRELOAD: lets what is done to one database's files fail when it is told to.
 *
 * ONHAND_FAULT_FILES is the database's path: its file, and those whose names begin with it and `-`, are meant.
 * ONHAND_FAULT_TELL is a file of eight 64-bit numbers, read and written by both sides:
 *   0  which operations (1 open, 2 read, 4 write, 8 sync, 16 truncate)
 *   1  how many of these still go well before one fails; below zero: none is to fail
 *   2  not 0: all that follow fail too
 *   3  the errno
 *   4  how many failed since it was told
 *   5  how many of these operations there were since it was told
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, TRUNCATE = 16, FILES = 4096 };

static volatile int64_t *told = NULL;
static const char *files = NULL;
static char meant[FILES];

__attribute__((constructor)) static void begin(void) {
    const char *tell = getenv("ONHAND_FAULT_TELL");
    files = getenv("ONHAND_FAULT_FILES");
    if (tell == NULL || files == NULL) return;
    int file = (int)syscall(SYS_openat, AT_FDCWD, tell, O_RDWR | O_CLOEXEC);
    if (file < 0) abort();
    void *mapped = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) abort();
    told = mapped;
}

/* Does this one fail? errno says why. */
static int fails(int operation) {
    if (told == NULL || !(told[0] & operation)) return 0;
    __atomic_add_fetch(&told[5], 1, __ATOMIC_SEQ_CST);
    if (told[1] < 0) return 0;
    int64_t left = __atomic_fetch_sub(&told[1], 1, __ATOMIC_SEQ_CST);
    if (left > 0) return 0;
    /* Its turn, or after it. */
    if (told[2]) __atomic_store_n(&told[1], 0, __ATOMIC_SEQ_CST);
    else if (left < 0) return 0;
    __atomic_add_fetch(&told[4], 1, __ATOMIC_SEQ_CST);
    errno = (int)told[3];
    return 1;
}

static int is_meant(const char *path) {
    if (files == NULL || path == NULL) return 0;
    size_t length = strlen(files);
    if (strncmp(path, files, length) != 0) return 0;
    return path[length] == 0 || path[length] == '-';
}

static int ours(int descriptor) { return descriptor >= 0 && descriptor < FILES && meant[descriptor]; }

static int opened(int at, const char *path, int flags, mode_t mode) {
    int matters = is_meant(path);
    if (matters && fails(OPEN)) return -1;
    int descriptor = (int)syscall(SYS_openat, at, path, flags, mode);
    if (descriptor >= 0 && descriptor < FILES) meant[descriptor] = (char)matters;
    return descriptor;
}

#define MODE                                                  \
    mode_t mode = 0;                                          \
    if (flags & (O_CREAT | __O_TMPFILE)) {                    \
        va_list more;                                         \
        va_start(more, flags);                                \
        mode = va_arg(more, mode_t);                          \
        va_end(more);                                         \
    }

int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < FILES) meant[descriptor] = 0;
    return (int)syscall(SYS_close, descriptor);
}

ssize_t read(int descriptor, void *data, size_t length) {
    return ours(descriptor) && fails(READ) ? -1 : syscall(SYS_read, descriptor, data, length);
}
ssize_t pread(int descriptor, void *data, size_t length, off_t at) {
    return ours(descriptor) && fails(READ) ? -1 : syscall(SYS_pread64, descriptor, data, length, at);
}
ssize_t pread64(int descriptor, void *data, size_t length, off64_t at) {
    return ours(descriptor) && fails(READ) ? -1 : syscall(SYS_pread64, descriptor, data, length, at);
}
ssize_t write(int descriptor, const void *data, size_t length) {
    return ours(descriptor) && fails(WRITE) ? -1 : syscall(SYS_write, descriptor, data, length);
}
ssize_t pwrite(int descriptor, const void *data, size_t length, off_t at) {
    return ours(descriptor) && fails(WRITE) ? -1 : syscall(SYS_pwrite64, descriptor, data, length, at);
}
ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t at) {
    return ours(descriptor) && fails(WRITE) ? -1 : syscall(SYS_pwrite64, descriptor, data, length, at);
}
int fsync(int descriptor) { return ours(descriptor) && fails(SYNC) ? -1 : (int)syscall(SYS_fsync, descriptor); }
int fdatasync(int descriptor) {
    return ours(descriptor) && fails(SYNC) ? -1 : (int)syscall(SYS_fdatasync, descriptor);
}
int ftruncate(int descriptor, off_t length) {
    return ours(descriptor) && fails(TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, descriptor, length);
}
int ftruncate64(int descriptor, off64_t length) {
    return ours(descriptor) && fails(TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, descriptor, length);
}
