/* See threadstate.h.  On Linux the third field of /proc/self/task/<tid>/stat
 * (proc(5)): R is running or preempted, anything else is waiting.  A thread that
 * was only preempted must not count as blocked: letting another one run then makes
 * the competition for the cores worse, not better. */
#include "threadstate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>

int mpmx_threadstate_self(void)
{
    return (int)syscall(SYS_gettid);
}

int mpmx_threadstate_open(int tid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int mpmx_threadstate_asleep(int handle)
{
    char buf[96];                /* pid (comm) S: comm has at most 64 bytes */
    ssize_t n;
    char *p;

    if (handle < 0 || (n = pread(handle, buf, sizeof buf - 1, 0)) <= 0)
        return -1;
    buf[n] = '\0';
    p = strrchr(buf, ')');       /* comm may itself contain parentheses */
    if (!p || p[1] != ' ')
        return -1;
    return p[2] != 'R';
}

void mpmx_threadstate_close(int handle)
{
    if (handle >= 0)
        close(handle);
}

#else

int mpmx_threadstate_self(void) { return 0; }
int mpmx_threadstate_open(int tid) { (void)tid; errno = ENOSYS; return -1; }
int mpmx_threadstate_asleep(int handle) { (void)handle; return -1; }
void mpmx_threadstate_close(int handle) { (void)handle; }

#endif
