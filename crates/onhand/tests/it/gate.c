/* Put before libc by LD_PRELOAD: a sync of a WAL waits while the file that ONHAND_TEST_GATE names is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_at_the_gate(int file) {
    const char *gate = getenv("ONHAND_TEST_GATE");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (gate == NULL || length < 0) return;
    path[length] = 0;
    if (strstr(path, "-wal") == NULL) return;
    while (access(gate, F_OK) == 0) usleep(1000);
}

int fsync(int file) {
    wait_at_the_gate(file);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
    wait_at_the_gate(file);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
