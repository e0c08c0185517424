/* A preload library that makes system calls fail, at the call and as often as a test says.
 *
 * Test and server share a file (environment: MPMX_FAULTS), mapped once and inherited over fork, so
 * that calls are counted over all processes and a running server can be armed again.  Of each
 * call there is one record, in the order of `enum`: if bit n of `plan` is set, the n-th call (from
 * 0) since it was armed fails, and if the last bit is, so do all after it.
 *
 * Nothing is done for a call that fails: a connection that was not accepted is still in the queue.
 *
 * Of epoll_ctl only what needs memory counts, of recv and recvmsg what is for clients, and of
 * memory what the MPM asks for itself: elsewhere httpd's rule for memory is to abort. So it is
 * for APR's pools, whose mmap() counts as any other; those of files are counted as MAPPED, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/times.h>
#include <unistd.h>

enum { ACCEPT, EPOLL_CTL, FORK, THREAD, MMAP, SOCKETPAIR, RECV, EVENTFD, PIPE, MEMORY, MAPPED, TIMES, CALLS };

struct fault {
    _Atomic uint64_t plan;
    _Atomic uint32_t seen;
    _Atomic uint32_t failed;
};

static const int errors[CALLS][8] = {
    [ACCEPT] = { EMFILE, ECONNABORTED, ENFILE, EINTR, ENOBUFS, EPROTO, ENOMEM },
    [EPOLL_CTL] = { ENOMEM, ENOSPC },
    [FORK] = { EAGAIN, ENOMEM },
    [THREAD] = { EAGAIN },
    [MMAP] = { ENOMEM },
    [SOCKETPAIR] = { EMFILE, ENFILE, ENOMEM },
    [RECV] = { ECONNRESET, EINTR, ETIMEDOUT, ENOMEM, EHOSTUNREACH },
    [EVENTFD] = { EMFILE, ENFILE, ENOMEM },
    [PIPE] = { EMFILE, ENFILE },
    [MEMORY] = { ENOMEM },
    [MAPPED] = { ENOMEM },
    [TIMES] = { EINVAL },
};

static struct fault *fault;

__attribute__((constructor)) static void map_faults(void)
{
    const char *name = getenv("MPMX_FAULTS");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *all;

    if (fd < 0)
        return;
    all = mmap(NULL, CALLS * sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (all != MAP_FAILED)
        fault = all;
}

static int is_armed(int call)
{
    return fault && atomic_load(&fault[call].plan) != 0;
}

/* The errno with which this call is to fail, or 0. */
static int fails(int call)
{
    uint32_t n;
    int kinds = 0;

    if (!is_armed(call))
        return 0;
    n = atomic_fetch_add(&fault[call].seen, 1);
    if (!(atomic_load(&fault[call].plan) >> (n < 63 ? n : 63) & 1))
        return 0;
    n = atomic_fetch_add(&fault[call].failed, 1);
    while (errors[call][kinds])
        kinds++;
    return errors[call][n % (unsigned)kinds];
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_OR(call, failure) do { int e_ = fails(call); if (e_) { errno = e_; return failure; } } while (0)

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    FAIL_OR(ACCEPT, -1);
    return REAL(accept4)(fd, addr, len, flags);
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    FAIL_OR(ACCEPT, -1);
    return REAL(accept)(fd, addr, len);
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (op != EPOLL_CTL_DEL)
        FAIL_OR(EPOLL_CTL, -1);
    return REAL(epoll_ctl)(epfd, op, fd, event);
}

pid_t fork(void)
{
    FAIL_OR(FORK, -1);
    return REAL(fork)();
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *data)
{
    int error = fails(THREAD);

    return error ? error : REAL(pthread_create)(thread, attr, start, data);
}

void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    FAIL_OR(MMAP, MAP_FAILED);
    if (fd >= 0)
        FAIL_OR(MAPPED, MAP_FAILED);
    return REAL(mmap)(at, size, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
{
    FAIL_OR(MMAP, MAP_FAILED);
    if (fd >= 0)
        FAIL_OR(MAPPED, MAP_FAILED);
    return REAL(mmap64)(at, size, prot, flags, fd, offset);
}

clock_t times(struct tms *used)
{
    FAIL_OR(TIMES, (clock_t)-1);
    return REAL(times)(used);
}

int socketpair(int domain, int type, int protocol, int pair[2])
{
    FAIL_OR(SOCKETPAIR, -1);
    return REAL(socketpair)(domain, type, protocol, pair);
}

int eventfd(unsigned value, int flags);
int eventfd(unsigned value, int flags)
{
    FAIL_OR(EVENTFD, -1);
    return REAL(eventfd)(value, flags);
}

int pipe(int ends[2])
{
    FAIL_OR(PIPE, -1);
    return REAL(pipe)(ends);
}

/* --- of clients ------------------------------------------------------------------------------ */

static int is_client(int fd)
{
    int domain = 0;
    socklen_t len = sizeof domain;

    return is_armed(RECV) && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0
        && domain == AF_INET;
}

ssize_t recv(int fd, void *to, size_t size, int flags)
{
    if (is_client(fd))
        FAIL_OR(RECV, -1);
    return REAL(recv)(fd, to, size, flags);
}

/* What recv() is with _FORTIFY_SOURCE. */
ssize_t __recv_chk(int fd, void *to, size_t size, size_t room, int flags);
ssize_t __recv_chk(int fd, void *to, size_t size, size_t room, int flags)
{
    if (size > room)
        abort();
    return recv(fd, to, size, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (is_client(fd))
        FAIL_OR(RECV, -1);
    return REAL(recvmsg)(fd, message, flags);
}

/* --- memory ------------------------------------------------------------------------------------ */

/* The C library has these under other names as well, so that nobody has to be looked up, which
 * would need memory. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

/* Is it the MPM that calls? Its DSO is another one after each restart. */
static int is_ours(const void *caller)
{
    Dl_info info;

    return is_armed(MEMORY) && dladdr(caller, &info) && info.dli_fname
        && strstr(info.dli_fname, "mod_mpmx_");
}

#define MEMORY_OR_NULL() \
    do { if (is_ours(__builtin_return_address(0))) FAIL_OR(MEMORY, NULL); } while (0)

void *malloc(size_t size)
{
    MEMORY_OR_NULL();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    MEMORY_OR_NULL();
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    MEMORY_OR_NULL();
    return __libc_realloc(old, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    int error = is_ours(__builtin_return_address(0)) ? fails(MEMORY) : 0;

    if (error)
        return error;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
