/* Who should be there: starting, replacing and retiring children. See process.h.
 *
 * The numbers of idle and busy threads come from the scoreboard, which children can
 * write; they are bounded by ThreadsPerChild, so the worst that a child can do with
 * them is to have one more or one less of its kind.
 */
#include "process.h"
#include "child.h"
#include "clock.h"
#include "compat.h"
#include "handover.h"
#include "log.h"
#include "scoreboard.h"

#include <signal.h>
#include <stdlib.h>

#define RATE_MAX          32
#define HOLD_OFF          10     /* idle seconds after a graceful restart (contract 4.9) */
#define CRASHES_AT_ONCE    3     /* replaced without a pause                             */
#define PAUSE_MAX_MS   30000
#define YOUNG_MS        1000     /* who ends before has not worked                       */
#define LATE_MS        10000     /* who is not ready by then is said so, and not counted on */
#define SHORTAGE_MS      100     /* until a child that could not be created is tried again, */
#define SHORTAGE_MAX_MS 1000     /* ... twice as long each time                          */

/* Seconds since it was forked. */
static long age(const mpmx_proc *p)
{
    return (long)((mpmx_clock_coarse_ms() - p->born) / 1000);
}

static int current(const mpmx_proc *p)
{
    return p->generation == mpmx.retained->my_generation;
}

/* Does another child accept on the same sockets, and will go on doing so? */
static int has_company(mpmx_retained *all, const mpmx_proc *p)
{
    int i;

    for (i = 0; i < all->procs; i++) {
        const mpmx_proc *other = &all->proc[i];

        if (other != p && other->bucket == p->bucket && current(other)
            && other->phase == MPMX_PROC_RUNNING && !other->worn)
            return 1;
    }
    return 0;
}

/* --- who is there ---------------------------------------------------------------------- */

typedef struct census {
    int children, idle;
    mpmx_proc *idlest;           /* has the fewest connections; may go                 */
    unsigned fewest;
} census;

static void count_one(mpmx_retained *all, mpmx_proc *p, census *c)
{
    process_score *ps;
    int idle, busy;

    c->children++;
    if (p->phase == MPMX_PROC_STARTING) {
        /* Its threads will be idle: do not start more for it. If it does not come, somebody else may;
         * but where nobody has come, more would only wait for the same. */
        if (!p->late || !has_company(all, p))
            c->idle += mpmx.conf.threads_per_child;
        return;
    }
    mpmx_scoreboard_threads(p->slot, mpmx.conf.threads_per_child, &idle, &busy);
    ps = ap_get_scoreboard_process(p->slot);
    if (!ps || !ps->not_accepting)       /* a full child's idle threads help nobody */
        c->idle += idle;
    if (ps && has_company(all, p) && (!c->idlest || ps->connections < c->fewest)) {
        c->idlest = p;
        c->fewest = ps->connections;
    }
}

static census count(mpmx_retained *all, int bucket)
{
    census c = { 0, 0, NULL, 0 };
    int i;

    for (i = 0; i < all->procs; i++) {
        mpmx_proc *p = &all->proc[i];

        if (p->bucket == bucket && current(p) && p->phase != MPMX_PROC_LEAVING && !p->worn)
            count_one(all, p, &c);
    }
    return c;
}

static int spare_of_bucket(int all_spare)
{
    return all_spare / mpmx.num_buckets;
}

static int is_short(const census *c)
{
    return c->idle < spare_of_bucket(mpmx.conf.min_spare_threads);
}

/* Where a child is needed first: whose clients nobody serves, or have the fewest idle threads. -1: of
 * those that are short only, and there is none. */
static int neediest_bucket(mpmx_retained *all, int short_ones)
{
    census least = { 0, 0, NULL, 0 };
    int b, best = -1;

    for (b = 0; b < mpmx.num_buckets; b++) {
        census c = count(all, b);

        if (short_ones && !is_short(&c))
            continue;
        if (best < 0 || (least.children && (!c.children || c.idle < least.idle
                         || (c.idle == least.idle && c.children < least.children)))) {
            least = c;
            best = b;
        }
    }
    return best;
}

/* --- starting ---------------------------------------------------------------------------- */

/* No child could be created. Whatever is short needs time to come back. */
static void hold_back(mpmx_retained *all, int error)
{
    int64_t now = mpmx_clock_coarse_ms();

    all->spawn_pause = all->spawn_pause ? all->spawn_pause * 2 : SHORTAGE_MS;
    if (all->spawn_pause > SHORTAGE_MAX_MS)
        all->spawn_pause = SHORTAGE_MAX_MS;
    all->next_spawn = now + all->spawn_pause;
    if (mpmx_may_log(&all->spawn_logged, now))
        ap_log_error(APLOG_MARK, APLOG_ERR, error, mpmx.main, MPMX_AH(FORK,
                     "cannot create a child process (%d are there); trying again until it can be "
                     "done"), all->procs);
}

static int is_full(mpmx_retained *all)
{
    return mpmx_procs_serving(all) >= mpmx.conf.children_limit;
}

static int start_one(mpmx_retained *all, int bucket)
{
    int error = mpmx_spawn(all, bucket);

    if (error)
        hold_back(all, error);
    else
        all->spawn_pause = 0;
    return !error;
}

/* Starts up to `n` children. Returns how many it did start. */
static int start(mpmx_retained *all, int n)
{
    int started = 0;

    while (started < n && !is_full(all) && start_one(all, neediest_bucket(all, 0)))
        started++;
    return started;
}

/* Older children that are not ready yet would be for nothing, and in the way. */
static void give_up_starting(mpmx_retained *all)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (!current(&all->proc[i]) && all->proc[i].phase == MPMX_PROC_STARTING)
            mpmx_proc_say(&all->proc[i], MPMX_SAY_DRAIN);
}

void mpmx_generation_begin(mpmx_retained *all)
{
    int want = mpmx.conf.start_servers;

    mpmx_leaving_logs_open(all);
    give_up_starting(all);
    mpmx_handover_prepare(all);

    if (mpmx.retained->was_graceful) {
        if (all->carry > want)           /* as many as the load had called for */
            want = all->carry;
        all->hold_off = HOLD_OFF;
    }
    if (want > mpmx.conf.children_limit)
        want = mpmx.conf.children_limit;
    all->carry = 0;
    all->lost = 0;
    all->crashes = 0;
    all->next_spawn = 0;
    all->spawn_rate = 1;
    all->lost = want - start(all, want); /* what could not be started is tried again */
}

/* Somebody else accepts: this one is to drain. */
static void let_go(mpmx_retained *all, mpmx_proc *proc)
{
    mpmx_handover_offer(all, proc);
    mpmx_proc_say(proc, MPMX_SAY_DRAIN);
}

void mpmx_generation_retire_older(mpmx_retained *all)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (!current(&all->proc[i])) {
            let_go(all, &all->proc[i]);
            mpmx_leaving_begin(&all->proc[i]);
        }
}

void mpmx_generation_reassure_older(mpmx_retained *all)
{
    global_score *global = ap_get_scoreboard_global();
    int i;

    if (global)                          /* in case that a child has written there */
        global->running_generation = mpmx.retained->my_generation;
    for (i = 0; i < all->procs; i++)
        if (!current(&all->proc[i]) && all->proc[i].phase == MPMX_PROC_RUNNING)
            mpmx_proc_tell(&all->proc[i], MPMX_SAY_STAY);
}

/* --- worn children -------------------------------------------------------------------------- */

static void relieve(mpmx_retained *all, mpmx_proc *proc)
{
    let_go(all, proc);
    if (proc->slot >= 0)
        mpmx_scoreboard_quiescing(proc->slot, 2);
}

void mpmx_generation_worn(mpmx_retained *all, mpmx_proc *proc)
{
    if (!current(proc))
        return;                          /* its time comes with the new generation's */
    proc->worn = 1;
    all->lost++;
    if (has_company(all, proc))
        relieve(all, proc);
}

void mpmx_generation_relieve(mpmx_retained *all, int bucket)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (all->proc[i].worn && all->proc[i].bucket == bucket
            && all->proc[i].phase == MPMX_PROC_RUNNING)
            relieve(all, &all->proc[i]);
}

/* --- the number of spare threads -------------------------------------------------------- */

static void report_limit(mpmx_retained *all, int idle)
{
    const char *directive = mpmx_this_policy.single ? "ThreadsPerChild" : "MaxRequestWorkers";

    int what = idle == 0 ? 2 : 1;        /* that it is full is said also after "nearly" */

    if (all->reported_limit >= what)
        return;
    all->reported_limit = what;
    if (idle == 0)
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main, MPMX_AH(FULL,
                     "server reached %s setting, consider raising the %s setting"),
                     directive, directive);
    else
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main, MPMX_AH(NEARLY_FULL,
                     "server is within MinSpareThreads of %s, consider raising the %s setting"),
                     directive, directive);
}

static int anyone_leaving(mpmx_retained *all, int bucket)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (all->proc[i].phase == MPMX_PROC_LEAVING && current(&all->proc[i]) && all->proc[i].bucket == bucket)
            return 1;
    return 0;
}

/* The threads of one bucket are of no use to clients of another, so each has its part of what should
 * be spare (contract 4.9). */
static void shrink(mpmx_retained *all)
{
    int b;

    for (b = 0; b < mpmx.num_buckets; b++) {
        census c = count(all, b);

        if (c.idle > spare_of_bucket(mpmx.conf.max_spare_threads) && c.idlest && !anyone_leaving(all, b))
            relieve(all, c.idlest);
    }
}

/* At the limit of children: one of a bucket that can do without gives its place to the one that is short,
 * so that what load there was does not decide for ever who has how many. */
static int make_room(mpmx_retained *all, int needy)
{
    census rich = { 0, 0, NULL, 0 }, poor = count(all, needy);
    int b;

    for (b = 0; b < mpmx.num_buckets; b++) {
        census c = count(all, b);

        if (b != needy && c.idlest && !anyone_leaving(all, b) && (!rich.idlest || c.idle > rich.idle))
            rich = c;
    }
    if (!rich.idlest || (poor.children && rich.idle < spare_of_bucket(mpmx.conf.min_spare_threads)
                                                      + mpmx.conf.threads_per_child))
        return 0;
    relieve(all, rich.idlest);
    return !is_full(all);
}

/* Starts children where too few threads are idle; as many as the pace is where that is so everywhere, else
 * no more than are needed there. Returns how many. */
static int grow(mpmx_retained *all)
{
    int b, started = 0, shorts = 0, n;

    for (b = 0; b < mpmx.num_buckets; b++) {
        census c = count(all, b);

        shorts += is_short(&c);
    }
    n = all->spawn_rate > shorts ? all->spawn_rate : shorts;
    while (shorts && started < n) {
        b = neediest_bucket(all, shorts < mpmx.num_buckets);
        if (b < 0)
            break;
        if (is_full(all) && !make_room(all, b)) {
            if (!started)
                report_limit(all, count(all, b).idle);
            break;
        }
        if (!start_one(all, b))
            break;
        started++;
    }
    return started;
}

/* Who had to grow starts twice as many the next time, if there are still too few. */
static void set_pace(mpmx_retained *all, int grown)
{
    if (!grown)
        all->spawn_rate = 1;
    if (all->hold_off > 0)
        all->hold_off--;
    else if (grown && all->spawn_rate < RATE_MAX)
        all->spawn_rate *= 2;
}

/* --- children that do not come -------------------------------------------------------------- */

/* A hook of a module that waits for something keeps a child from serving. How long it may take only
 * the administrator knows, so it is not ended; but who wonders where the server's threads are, or why
 * the old configuration is still served, is to find the reason. */
static void report_late(mpmx_retained *all)
{
    int i;

    for (i = 0; i < all->procs; i++) {
        mpmx_proc *p = &all->proc[i];

        if (p->late || p->phase != MPMX_PROC_STARTING || !current(p)
            || mpmx_clock_coarse_ms() - p->born < LATE_MS)
            continue;
        p->late = 1;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, mpmx.main,
                     "child process %" APR_PID_T_FMT " of generation %d has been started %ld s ago and does "
                     "not serve yet: the hook child_init of a module may be waiting for something; %s",
                     p->pid, p->generation, age(p),
                     has_company(all, p) ? "others serve" : "older ones serve on, if there are any");
    }
}

void mpmx_generation_child_ready(const mpmx_proc *proc)
{
    if (proc->late)
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, mpmx.main,
                     "child process %" APR_PID_T_FMT " of generation %d serves now, %ld s after its start",
                     proc->pid, proc->generation, age(proc));
}

static census count_all(mpmx_retained *all)
{
    census total = { 0, 0, NULL, 0 };
    int b;

    for (b = 0; b < mpmx.num_buckets; b++) {
        census c = count(all, b);

        total.children += c.children;
        total.idle += c.idle;
    }
    return total;
}

void mpmx_generation_maintain(mpmx_retained *all)
{
    census total;
    int grown = 0;

    report_late(all);
    total = count_all(all);
    if (total.children == 0) {
        all->spawn_rate = 1;             /* refill() looks after the first one */
        return;
    }
    if (mpmx_this_policy.single) {
        if (total.idle == 0)
            report_limit(all, 0);
        return;
    }
    shrink(all);
    if (mpmx_clock_coarse_ms() >= all->next_spawn)
        grown = grow(all);
    if (grown >= 8)
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, mpmx.main, MPMX_AH(BUSY,
                     "server seems busy (%d idle threads, MinSpareThreads is %d): starting %d "
                     "children, there are %d"), total.idle, mpmx.conf.min_spare_threads, grown, total.children);
    set_pace(all, grown);
}

/* --- deaths ------------------------------------------------------------------------------ */

static void note_crash(mpmx_retained *all, const mpmx_proc *p, apr_exit_why_e why)
{
    int64_t now = mpmx_clock_coarse_ms(), pause = 100;
    int i;

    if (now >= all->calm_at)
        all->crashes = 0;
    all->calm_at = now + YOUNG_MS;
    if (++all->crashes <= CRASHES_AT_ONCE)
        return;
    for (i = CRASHES_AT_ONCE + 1; i < all->crashes && pause < PAUSE_MAX_MS; i++)
        pause *= 2;
    if (pause > PAUSE_MAX_MS)
        pause = PAUSE_MAX_MS;
    all->next_spawn = now + pause;
    all->calm_at = all->next_spawn + YOUNG_MS;
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, mpmx.main, MPMX_AH(CRASHES,
                 "%d children in a row have ended abnormally, the last (pid %" APR_PID_T_FMT
                 ", %s) after %" APR_INT64_T_FMT " ms; the next one is started in %" APR_INT64_T_FMT
                 " ms"), all->crashes, p->pid, APR_PROC_CHECK_SIGNALED(why) ? "by a signal" : "by itself",
                 (apr_int64_t)(now - p->born), (apr_int64_t)pause);
}

int mpmx_generation_child_ended(mpmx_retained *all, mpmx_proc *proc, apr_exit_why_e why, int code)
{
    apr_proc_t process = { 0 };
    int result, slot = proc->slot, told = proc->told, now_current = current(proc);
    int abnormal, was_leaving = proc->phase == MPMX_PROC_LEAVING;
    mpmx_proc gone = *proc;
    ap_generation_t registered;

    process.pid = proc->pid;
    if (APR_PROC_CHECK_EXIT(why) && code == APEXIT_CHILDFATAL && proc->ready) {
        /* It could start: that is no reason to take down all the others. */
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main,
                     "child process %" APR_PID_T_FMT " has ended with the exit status of a fatal error "
                     "(%d) after it had been serving; the server goes on", proc->pid, code);
        result = APEXIT_CHILDSICK;
    }
    else {
        result = ap_process_child_status(&process, why, code);
    }
    if (slot < 0)
        ap_unregister_extra_mpm_process(proc->pid, &registered);
    ap_run_child_status(mpmx.main, proc->pid, proc->generation, slot, MPM_CHILD_EXITED);
    if (slot >= 0)
        mpmx_scoreboard_free(slot);
    mpmx_proc_remove(all, proc);
    mpmx_leaving_ended(all, gone.generation);
    if (result == APEXIT_CHILDFATAL && now_current && !was_leaving)
        return 1;                        /* at its start, see above */
    if (result == APEXIT_CHILDFATAL && !now_current)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, mpmx.main, MPMX_AH(OLD_FATAL,
                     "a child of an older generation (pid %" APR_PID_T_FMT ") could not start; "
                     "going on with the present one"), gone.pid);
    abnormal = APR_PROC_CHECK_SIGNALED(why) || code != 0
            || (!was_leaving && mpmx_clock_coarse_ms() - gone.born < YOUNG_MS);
    if (now_current && !was_leaving && !gone.worn)
        all->lost++;
    if (now_current && abnormal && !told)
        note_crash(all, &gone, why);
    return 0;
}

/* Also one that is worn, which goes on until another one accepts. */
static int anyone_there(mpmx_retained *all)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (current(&all->proc[i]) && all->proc[i].phase != MPMX_PROC_LEAVING)
            return 1;
    return 0;
}

int64_t mpmx_generation_refill(mpmx_retained *all)
{
    int serving = mpmx_procs_serving(all), want = all->lost;
    int64_t now = mpmx_clock_coarse_ms();

    /* How many there should be is a matter of load, which maintain() sees to; but whoever
     * was lost is replaced, and there is always somebody. */
    if (!anyone_there(all) && want < mpmx.conf.start_servers)
        want = mpmx.conf.start_servers;
    if (want > mpmx.conf.children_limit - serving)
        want = mpmx.conf.children_limit - serving;
    if (want <= 0) {
        all->lost = 0;
        return INT64_MAX;
    }
    if (now < all->next_spawn)
        return all->next_spawn;
    all->lost = want - start(all, all->crashes > CRASHES_AT_ONCE ? 1 : want);
    return all->lost == 0 ? INT64_MAX : all->next_spawn > now ? all->next_spawn : now + YOUNG_MS;
}
