/* Creating a child process, and the parent's table of them. See process.h. */
#include "process.h"
#include "aside.h"
#include "child.h"
#include "clock.h"
#include "compat.h"
#include "handover.h"
#include "log.h"
#include "reload.h"
#include "scoreboard.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

/* The number is that of the layout of mpmx_retained: a new DSO may replace this one over a
 * restart. */
#define RETAINED_KEY "mpmx-" APR_STRINGIFY(MPMX_MODULE) "-6"

mpmx_retained *mpmx_retained_get(void)
{
    mpmx_retained *all = ap_retained_data_get(RETAINED_KEY);

    return all ? all : ap_retained_data_create(RETAINED_KEY, sizeof *all);
}

/* --- the table ----------------------------------------------------------------------- */

mpmx_proc *mpmx_proc_find(mpmx_retained *all, pid_t pid)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (all->proc[i].pid == pid)
            return &all->proc[i];
    return NULL;
}

void mpmx_proc_remove(mpmx_retained *all, mpmx_proc *proc)
{
    if (proc->control >= 0)
        close(proc->control);
    if (proc->pidfd >= 0)
        close(proc->pidfd);
    *proc = all->proc[--all->procs];
}

static int rank(int word)
{
    return word == MPMX_SAY_DRAIN ? 1 : word == MPMX_SAY_END ? 2 : word == MPMX_SAY_STOP ? 3 : 0;
}

int mpmx_proc_tell(mpmx_proc *proc, char word)
{
    ssize_t sent;

    if (proc->control < 0)
        return 1;
    do
        sent = send(proc->control, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != ENOMEM);
}

void mpmx_proc_say(mpmx_proc *proc, char word)
{
    if (rank(word) <= rank(proc->told))
        return;
    proc->told = word;
    proc->phase = MPMX_PROC_LEAVING;
    proc->unsaid = !mpmx_proc_tell(proc, word);
}

void mpmx_proc_say_again(mpmx_proc *proc)
{
    proc->unsaid = proc->unsaid && !mpmx_proc_tell(proc, (char)proc->told);
}

void mpmx_proc_signal(const mpmx_proc *proc, int sig)
{
#if defined(__linux__) && defined(SYS_pidfd_send_signal)
    /* Reaches it even if it has left our process group, where httpd's function would refuse. */
    if (proc->pidfd >= 0
        && (syscall(SYS_pidfd_send_signal, proc->pidfd, sig, NULL, 0) == 0 || errno == ESRCH))
        return;
#endif
    ap_mpm_safe_kill(proc->pid, sig);
}

int mpmx_procs_serving(mpmx_retained *all)
{
    int i, n = 0;

    for (i = 0; i < all->procs; i++)
        n += all->proc[i].generation == mpmx.retained->my_generation
             && all->proc[i].phase != MPMX_PROC_LEAVING && !all->proc[i].worn;
    return n;
}

static mpmx_proc *new_entry(mpmx_retained *all)
{
    if (all->procs == all->room) {
        int room = all->room ? all->room * 2 : 16;
        mpmx_proc *proc = realloc(all->proc, (size_t)room * sizeof *proc);

        if (!proc)
            return NULL;
        all->proc = proc;
        all->room = room;
    }
    memset(&all->proc[all->procs], 0, sizeof *all->proc);
    return &all->proc[all->procs];
}

/* --- slots ---------------------------------------------------------------------------- */

static mpmx_proc *holder(mpmx_retained *all, int slot)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (all->proc[i].slot == slot)
            return &all->proc[i];
    return NULL;
}

/* A process that has been draining for long may hold up new ones: the oldest of them
 * loses its slot (and mod_status loses sight of it), but goes on with its work. */
static int take_over_slot(mpmx_retained *all)
{
    mpmx_proc *oldest = NULL;
    int i, slot;

    for (i = 0; i < all->procs; i++) {
        mpmx_proc *p = &all->proc[i];

        if (p->phase == MPMX_PROC_LEAVING && p->slot >= 0 && (!oldest || p->born < oldest->born))
            oldest = p;
    }
    if (!oldest)
        return -1;
    slot = oldest->slot;
    oldest->slot = -1;
    mpmx_proc_tell(oldest, MPMX_SAY_NO_SLOT);
    ap_run_child_status(mpmx.main, oldest->pid, oldest->generation, slot, MPM_CHILD_LOST_SLOT);
    ap_register_extra_mpm_process(oldest->pid, oldest->generation);
    mpmx_scoreboard_free(slot);          /* also of threads that the next one does not have */
    return slot;
}

int mpmx_slot_find(mpmx_retained *all)
{
    int slot, slots = mpmx_scoreboard_slots(mpmx.conf.server_limit);

    for (slot = 0; slot < slots; slot++)
        if (!holder(all, slot))
            return slot;
    return take_over_slot(all);
}

/* --- fork ------------------------------------------------------------------------------- */

/* What only the parent has: the other children's control sockets (else they would not see
 * the parent's death) and the other buckets' listeners. */
static void close_the_parents(mpmx_retained *all, int bucket)
{
    int i;

    for (i = 0; i < all->procs; i++) {
        if (all->proc[i].control >= 0)
            close(all->proc[i].control);
        if (all->proc[i].pidfd >= 0)
            close(all->proc[i].pidfd);
    }
    for (i = 0; i < mpmx.num_buckets; i++)
        if (i != bucket)
            ap_close_listeners_ex(mpmx.buckets[i]);
    mpmx_reload_forget();
}

static void become_child(mpmx_retained *all, int slot, int bucket, int control, pid_t parent)
{
    close_the_parents(all, bucket);
    mpmx_terminal_forget();
    mpmx_handover_become_child(all);
    mpmx.retained->shutdown_pending = mpmx.retained->restart_pending = 0;
    mpmx.parent = parent;
    mpmx_child_main(slot, bucket, control);
}

void mpmx_child_follow_parent(void)
{
#ifdef __linux__
    /* A daemon that a module has forked from the parent may hold copies of the control
     * sockets; then only the kernel tells of the parent's death (prctl(2)). */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    if (getppid() != mpmx.parent)
        mpmx.retained->shutdown_pending = mpmx.retained->is_ungraceful = 1;
}

int mpmx_pidfd_of(pid_t pid)
{
#if defined(__linux__) && defined(SYS_pidfd_open)
    return (int)syscall(SYS_pidfd_open, pid, 0);     /* close-on-exec by itself */
#else
    (void)pid;
    return -1;
#endif
}

int mpmx_spawn(mpmx_retained *all, int bucket)
{
    mpmx_proc *proc = new_entry(all);
    int pair[2], slot, error;
    sigset_t every, before;
    pid_t pid, parent = getpid();

    if (!proc)
        return ENOMEM;
    slot = mpmx_slot_find(all);
    if (slot < 0)
        return EAGAIN;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        return errno;
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    fcntl(pair[1], F_SETFD, FD_CLOEXEC);
    /* The child must not run core's handlers with the parent's flags in mind; it takes
     * signals only where it waits for them. */
    sigfillset(&every);
    sigprocmask(SIG_SETMASK, &every, &before);
    mpmx_aside_begin(slot);
    pid = fork();
    if (pid == 0) {
        close(pair[0]);
        become_child(all, slot, bucket, pair[1], parent);
    }
    error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return error;
    }
    proc->pid = pid;
    proc->slot = slot;
    proc->bucket = bucket;
    proc->generation = mpmx.retained->my_generation;
    proc->phase = MPMX_PROC_STARTING;
    proc->control = pair[0];
    proc->pidfd = mpmx_pidfd_of(pid);
    proc->born = mpmx_clock_coarse_ms();
    all->procs++;
    mpmx_scoreboard_take(slot, bucket, pid, proc->generation);
    ap_run_child_status(mpmx.main, pid, proc->generation, slot, MPM_CHILD_STARTED);
    return 0;
}
