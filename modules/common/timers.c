/* See timers.h. */
#include "timers.h"
#include "clock.h"

#include <stdlib.h>
#include <string.h>

/* --- the wheel ------------------------------------------------------------ */

static int64_t slot_of(int64_t ms)
{
    return ms >> MPMX_WHEEL_SHIFT;
}

static void link_at(mpmx_wheel *w, mpmx_deadline *d, int64_t due)
{
    int64_t slot = slot_of(due) + 1;     /* rounded up: never visited too early */
    mpmx_deadline *head;
    unsigned index;

    if (slot <= w->position)
        slot = w->position + 1;
    if (slot - w->position >= MPMX_WHEEL_SLOTS)
        slot = w->position + MPMX_WHEEL_SLOTS - 1;   /* looked at, and moved on, then */
    index = (unsigned)(slot % MPMX_WHEEL_SLOTS);
    head = &w->slot[index];
    d->next = head;
    d->prev = head->prev;
    head->prev->next = d;
    head->prev = d;
    w->used[index / 64] |= UINT64_C(1) << (index % 64);
    w->linked++;
    atomic_store(&d->visit, slot << MPMX_WHEEL_SHIFT);
}

static void unlink_from(mpmx_wheel *w, mpmx_deadline *d)
{
    mpmx_deadline *head = d->next == d->prev ? d->next : NULL;

    d->prev->next = d->next;
    d->next->prev = d->prev;
    w->linked--;
    atomic_store(&d->visit, 0);
    /* The last one of its ring: what is left is the head itself. */
    if (head && head->next == head) {
        unsigned index = (unsigned)(head - w->slot);
        w->used[index / 64] &= ~(UINT64_C(1) << (index % 64));
    }
}

void mpmx_wheel_init(mpmx_wheel *w, int64_t now)
{
    int i;

    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    w->position = slot_of(now);
    for (i = 0; i < MPMX_WHEEL_SLOTS; i++)
        w->slot[i].next = w->slot[i].prev = &w->slot[i];
}

int64_t mpmx_wheel_set(mpmx_wheel *w, mpmx_deadline *d, int64_t due)
{
    int64_t visit, changed = MPMX_NEVER;

    /* Sequentially consistent with the pair in mpmx_wheel_advance(): either we see
     * the visit it has just written, or it sees the deadline we have just stored. */
    atomic_store(&d->due, due);
    visit = atomic_load(&d->visit);
    if (visit && visit <= (slot_of(due) + 1) << MPMX_WHEEL_SHIFT)
        return MPMX_NEVER;
    pthread_mutex_lock(&w->lock);
    visit = atomic_load(&d->visit);
    if (visit > (slot_of(due) + 1) << MPMX_WHEEL_SHIFT) {
        unlink_from(w, d);
        visit = 0;
    }
    if (!visit) {
        link_at(w, d, due);
        changed = atomic_load(&d->visit);
    }
    pthread_mutex_unlock(&w->lock);
    return changed;
}

static void visit_slot(mpmx_wheel *w, unsigned index, int64_t now,
                       mpmx_wheel_visitor *visit, void *baton)
{
    mpmx_deadline *head = &w->slot[index];
    mpmx_deadline *d = head->next, *next, *last = head->prev;

    /* What is moved on may come back to this ring, behind `last`. */
    for (; d != head; d = next) {
        int64_t again;

        next = d->next;
        /* First out, then the visit: whoever gets the connection through it must not
         * take the deadline for one that is still being watched. */
        unlink_from(w, d);
        again = visit(d, now, baton);
        while (again) {
            int64_t due;

            link_at(w, d, again);
            due = atomic_load(&d->due);
            if (due >= again || due <= now)
                break;
            unlink_from(w, d);           /* the owner has just set an earlier one */
            again = due;
        }
        if (d == last)
            break;
    }
}

void mpmx_wheel_advance(mpmx_wheel *w, int64_t now, mpmx_wheel_visitor *visit, void *baton)
{
    int64_t until = slot_of(now);

    pthread_mutex_lock(&w->lock);
    if (until - w->position >= MPMX_WHEEL_SLOTS)
        w->position = until - MPMX_WHEEL_SLOTS;      /* a long sleep: every slot once */
    while (w->position < until) {
        unsigned index = (unsigned)(++w->position % MPMX_WHEEL_SLOTS);

        if (w->used[index / 64] & (UINT64_C(1) << (index % 64)))
            visit_slot(w, index, now, visit, baton);
    }
    pthread_mutex_unlock(&w->lock);
}

int64_t mpmx_wheel_next(mpmx_wheel *w)
{
    int64_t due = MPMX_NEVER, slot;

    pthread_mutex_lock(&w->lock);
    if (w->linked) {
        for (slot = w->position + 1; slot <= w->position + MPMX_WHEEL_SLOTS; slot++) {
            unsigned index = (unsigned)(slot % MPMX_WHEEL_SLOTS);

            if (index % 64 == 0 && !w->used[index / 64]) {
                slot += 63;
                continue;
            }
            if (w->used[index / 64] & (UINT64_C(1) << (index % 64))) {
                due = slot << MPMX_WHEEL_SHIFT;
                break;
            }
        }
    }
    pthread_mutex_unlock(&w->lock);
    return due;
}

/* --- timed callbacks ------------------------------------------------------ */

static int by_due_time(void *a, void *b)
{
    const mpmx_callback *x = a, *y = b;

    return x->due_us < y->due_us ? -1 : x->due_us > y->due_us;
}

apr_status_t mpmx_callbacks_init(mpmx_callbacks *set, apr_pool_t *pool)
{
    apr_status_t rv;

    (void)pool;
    pthread_mutex_init(&set->lock, NULL);
    atomic_store(&set->first_us, MPMX_NEVER);
    /* Without a pool the skip list returns the memory of removed entries. */
    rv = apr_skiplist_init(&set->list, NULL);
    if (rv == APR_SUCCESS)
        apr_skiplist_set_compare(set->list, by_due_time, by_due_time);
    return rv;
}

mpmx_callback *mpmx_callback_new(int64_t delay_us, ap_mpm_callback_fn_t *fn, void *baton)
{
    mpmx_callback *cb = malloc(sizeof *cb);

    if (cb) {
        int64_t now = mpmx_clock_us();

        cb->next = NULL;
        cb->fn = fn;
        cb->baton = baton;
        if (delay_us < 0)
            delay_us = 0;
        cb->due_us = delay_us > MPMX_NEVER - 1 - now ? MPMX_NEVER - 1 : now + delay_us;
    }
    return cb;
}

static void remember_first(mpmx_callbacks *set)
{
    mpmx_callback *first = apr_skiplist_peek(set->list);

    atomic_store(&set->first_us, first ? first->due_us : MPMX_NEVER);
}

int mpmx_callbacks_add(mpmx_callbacks *set, mpmx_callback *cb)
{
    int earliest;

    pthread_mutex_lock(&set->lock);
    earliest = cb->due_us < atomic_load(&set->first_us);
    apr_skiplist_add(set->list, cb);
    remember_first(set);
    pthread_mutex_unlock(&set->lock);
    return earliest;
}

mpmx_callback *mpmx_callbacks_take(mpmx_callbacks *set, int64_t now_us)
{
    mpmx_callback *cb = NULL;

    if (atomic_load_explicit(&set->first_us, memory_order_relaxed) > now_us)
        return NULL;
    pthread_mutex_lock(&set->lock);
    if (atomic_load(&set->first_us) <= now_us) {
        cb = apr_skiplist_pop(set->list, NULL);
        remember_first(set);
    }
    pthread_mutex_unlock(&set->lock);
    return cb;
}
