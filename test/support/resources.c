/* What tests take from the machine: directories that vanish with the test, and free ports. */
#include "support/test.h"

#include "support/test_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    PORT_MIN = 20000,
    PORT_MAX = 31999, /* the kernel's own choice starts at 32768 */
    PATHS_MAX = 256,  /* of one test */
};

/* Directories and paths handed to the running test. */
static char *paths[PATHS_MAX];
static bool is_directory[PATHS_MAX];
static size_t path_count;

static const char *remember(char *path, bool directory)
{
    if (path == NULL || path_count == PATHS_MAX) {
        fprintf(stderr, "too many paths in one test\n");
        abort();
    }
    paths[path_count] = path;
    is_directory[path_count] = directory;
    return paths[path_count++];
}

const char *test_directory(void)
{
    const char *parent = getenv("TMPDIR");
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/rockraft-test-XXXXXX",
                          parent != NULL && parent[0] == '/' ? parent : "/tmp");
    if (length < 0 || (size_t)length >= sizeof(path) || mkdtemp(path) == NULL) {
        test_fail(__FILE__, __LINE__, "no test directory %s: %s", path, strerror(errno));
    }
    return remember(strdup(path), true);
}

const char *test_path(const char *directory, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
    }
    return remember(path, false);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}

void test_remove_directories(void)
{
    for (size_t i = 0; i < path_count; i++) {
        if (is_directory[i]) {
            if (getenv("TEST_KEEP") == NULL) {
                nftw(paths[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
            } else {
                printf("kept %s\n", paths[i]);
            }
        }
        free(paths[i]);
    }
    path_count = 0;
}

/* Whether `port` is ours from now on: no other test holds its lock file. */
static bool lock_port(uint16_t port)
{
    char path[64];
    mkdir("/tmp/rockraft-ports", 0777);
    snprintf(path, sizeof(path), "/tmp/rockraft-ports/%u", port);
    int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (file < 0) {
        return false;
    }
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        close(file);
        return false;
    }
    return true; /* the lock lasts as long as the process */
}

/* Whether a listener could be had on `port` now. */
static bool port_is_free(uint16_t port)
{
    int socket_file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    setsockopt(socket_file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_free = bind(socket_file, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                   listen(socket_file, 1) == 0;
    close(socket_file);
    return is_free;
}

uint16_t test_port(void)
{
    static unsigned offset;
    if (offset == 0) {
        offset = (unsigned)getpid() * 37U;
    }
    for (unsigned tried = 0; tried <= PORT_MAX - PORT_MIN; tried++) {
        uint16_t port = (uint16_t)(PORT_MIN + offset++ % (PORT_MAX - PORT_MIN + 1));
        if (lock_port(port) && port_is_free(port)) {
            return port;
        }
    }
    test_fail(__FILE__, __LINE__, "no free port");
    return 0;
}
