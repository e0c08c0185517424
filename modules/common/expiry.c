/* See expiry.h. */
#include "expiry.h"
#include "child.h"
#include "clock.h"
#include "head.h"
#include "hibernate.h"
#include "linger.h"
#include "serve.h"

#include <stddef.h>

#define AGES         512                 /* seconds of waiting that are told apart   */
#define EXPIRE_PART   16                 /* a 16th of those that wait gives way ...  */
#define EXPIRE_LEAST  32                 /* ... but at least so many                 */

/* What has passed was not its KeepAliveTimeout, nor does it have to go for another reason. */
static int has_time_left(const mpmx_conn *conn)
{
    int64_t since = mpmx_conn_idle_since(conn);

    return since > 0 && since + conn->view.keepalive_ms > mpmx_clock_coarse_ms();
}

/* Has come what it waited for, as far as that can be seen? Of a head, all; inside TLS nobody knows. */
static int is_just_in_time(mpmx_worker *w, mpmx_conn *conn)
{
    if (conn->buf_len && !(conn->tls && conn->c))
        return mpmx_head_is_complete(w, conn);
    return mpmx_head_has_input(conn);
}

/* On a worker: the deadline of a claimed connection has passed. */
static void expired(mpmx_worker *w, mpmx_work *work)
{
    mpmx_conn *conn = (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work));
    mpmx_phase phase = mpmx_child_phase(mpmx_child_of(w));
    int stopping = phase >= MPMX_PHASE_STOPPING;

    switch (mpmx_conn_get_state(conn)) {
    case MPMX_CONN_NEW:
    case MPMX_CONN_KEEPALIVE:
    case MPMX_CONN_ASLEEP:
        if (conn->buf_len && !conn->hurry && !stopping)
            mpmx_head_expired(w, conn);
        else if (!stopping && is_just_in_time(w, conn)) {
            conn->hurry = 0;
            if (conn->input_len)
                mpmx_serve(w, conn);
            else
                mpmx_conn_ready(w, conn, MPMX_POLL_READ);
        }
        else if (conn->c && conn->hurry) {
            conn->head_late = 1;         /* nor is the rest of a handshake waited for */
            mpmx_serve_gone(w, conn);
        }
        else if (conn->hurry)
            mpmx_conn_close(w, conn);
        else if (conn->c && !stopping && has_time_left(conn))
            mpmx_hibernate(w, conn);
        else if (conn->c)
            mpmx_serve_idle(w, conn);
        else if ((mpmx_conn_get_state(conn) == MPMX_CONN_ASLEEP && !stopping) || phase == MPMX_PHASE_ENDING)
            mpmx_linger_asleep(w, conn); /* its request may be on its way: no reset */
        else
            mpmx_conn_close(w, conn);
        break;
    case MPMX_CONN_QUEUED:
    case MPMX_CONN_WAITIO:
    case MPMX_CONN_WRITING:
        mpmx_serve_timeout(w, conn);
        break;
    default:
        mpmx_conn_close(w, conn);
    }
}

static void hand_over(mpmx_child *child, mpmx_conn *conn)
{
    conn->work.run = expired;
    mpmx_crew_submit(&child->crew, &conn->work);
}

static void send_away(mpmx_child *child, mpmx_conn *conn, int hurry)
{
    mpmx_conn_set_idle_since(conn, MPMX_TO_GO);
    conn->hurry = hurry ? 1 : 0;
    hand_over(child, conn);
}

static int is_due(const mpmx_conn *conn, int64_t now)
{
    return atomic_load(&conn->deadline.due) <= now;
}

/* How long it has waited, in steps of a second; -1: it does not, or has to go already, or the rest of its
 * head has had no second yet. */
static int age_of(const mpmx_conn *conn, int64_t now)
{
    int64_t since = mpmx_conn_waits_since(conn), age = (now - since) / 1000;

    if (!since || (age < 1 && !mpmx_conn_is_idle(conn)))
        return -1;
    return age < 0 ? 0 : age >= AGES ? AGES - 1 : (int)age;
}

static int may_give_way(const mpmx_conn *conn, int64_t now)
{
    return age_of(conn, now) >= 0;
}

int64_t mpmx_expiry_visit(mpmx_deadline *deadline, int64_t now, void *baton)
{
    mpmx_conn *conn = (mpmx_conn *)((char *)deadline - offsetof(mpmx_conn, deadline));
    int64_t due = atomic_load(&deadline->due);       /* before the state, see below */

    /* A closed connection leaves its deadline in the wheel, where the next one on the same
     * descriptor finds it; if there is none, it goes now. Either that next one sees that it
     * is out and puts it in again, or we see the deadline it has set, and so its state. */
    if (mpmx_conn_get_state(conn) == MPMX_CONN_FREE)
        return 0;
    if (due > now)
        return due;
    if (!mpmx_conn_claim_parked(conn, is_due, now))
        return now + 1000;               /* being served: it sets a new one when parked */
    hand_over(baton, conn);
    return 0;
}

int mpmx_expiry_all(mpmx_child *child, int (*wanted)(const mpmx_conn *conn, int64_t now))
{
    int64_t now = mpmx_clock_coarse_ms();
    unsigned i, k;
    int n = 0;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < MPMX_CONN_CHUNK; k++)
            if (mpmx_conn_claim_parked(&chunk[k], wanted, now)) {
                send_away(child, &chunk[k], 0);
                n++;
            }
    }
    return n;
}

/* The least age of those that go when about `want` of them do. */
static int age_limit(mpmx_child *child, int64_t now, int *want)
{
    int aged[AGES] = { 0 }, total = 0, limit = AGES, sum = 0;
    unsigned i, k;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < MPMX_CONN_CHUNK; k++) {
            int age = age_of(&chunk[k], now);

            if (age >= 0) {
                aged[age]++;
                total++;
            }
        }
    }
    *want = total / EXPIRE_PART > EXPIRE_LEAST ? total / EXPIRE_PART : EXPIRE_LEAST;
    while (limit > 0 && sum < *want)
        sum += aged[--limit];
    return limit;
}

/* Closes those that are older than that, or just as old, `want` at most. */
static int expire_aged(mpmx_child *child, int64_t now, int age, int older, int want)
{
    unsigned i, k;
    int n = 0;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < MPMX_CONN_CHUNK && n < want; k++) {
            int its = age_of(&chunk[k], now);

            if ((older ? its > age : its == age) && mpmx_conn_claim_parked(&chunk[k], may_give_way, now)) {
                send_away(child, &chunk[k], 1);      /* lingering would keep the descriptor */
                n++;
            }
        }
    }
    return n;
}

int mpmx_expiry_idlest(mpmx_child *child)
{
    int64_t now = mpmx_clock_coarse_ms();
    int want, limit = age_limit(child, now, &want), n;

    n = expire_aged(child, now, limit, 1, want);
    return n + expire_aged(child, now, limit, 0, want - n);
}
