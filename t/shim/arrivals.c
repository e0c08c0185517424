/* A preload library that tells how many connections a thread has accepted at most without receiving
 * anything meanwhile: the number is in a file (environment: MPMX_ARRIVALS), mapped once and inherited
 * over fork. After it comes the number of the count, of four bytes, too: who sees another one than at his
 * last accept begins again with none, for what he let in before that, others may have served.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct {
    _Atomic uint32_t most, count;
} *told;
static __thread uint32_t in_a_row, count;

__attribute__((constructor)) static void map_it(void)
{
    const char *name = getenv("MPMX_ARRIVALS");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *shared;

    if (fd < 0)
        return;
    shared = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        told = shared;
}

static int arrived(int fd)
{
    uint32_t before, now;

    if (fd < 0 || !told)
        return fd;
    now = atomic_load(&told->count);
    in_a_row = now == count ? in_a_row + 1 : 1;
    count = now;
    before = atomic_load(&told->most);
    while (before < in_a_row && !atomic_compare_exchange_weak(&told->most, &before, in_a_row))
        ;
    return fd;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    return arrived(REAL(accept4)(fd, addr, len, flags));
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    return arrived(REAL(accept)(fd, addr, len));
}

ssize_t recv(int fd, void *buf, size_t size, int flags)
{
    in_a_row = 0;
    return REAL(recv)(fd, buf, size, flags);
}
