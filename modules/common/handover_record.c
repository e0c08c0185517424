/* See handover_record.h. */
#include "handover_record.h"
#include "accept_filter.h"

#include <limits.h>
#include <string.h>
#include <netinet/in.h>

_Static_assert(sizeof(mpmx_place) == 40, "padding of a place would not compare");
_Static_assert(sizeof(mpmx_handover_record) == 80, "padding would carry memory to another process");

/* --- places -------------------------------------------------------------------------------- */

/* Nonzero: it fits. */
static int set_protocol(char *to, size_t size, const char *protocol)
{
    size_t i;

    for (i = 0; protocol[i]; i++) {
        if (i + 1 >= size)
            return 0;
        to[i] = protocol[i] >= 'A' && protocol[i] <= 'Z' ? (char)(protocol[i] - 'A' + 'a') : protocol[i];
    }
    return i > 0;
}

/* Nonzero: it is an address of TCP. */
static int set_address(mpmx_place *place, const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

        place->port = in->sin_port;
        memcpy(place->addr, &in->sin_addr, sizeof in->sin_addr);
    }
    else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

        place->port = in6->sin6_port;
        place->scope = in6->sin6_scope_id;
        memcpy(place->addr, &in6->sin6_addr, sizeof place->addr);
    }
    else {
        return 0;
    }
    return 1;
}

void mpmx_place_set(mpmx_place *place, const struct sockaddr *sa, int gate, const char *protocol)
{
    memset(place, 0, sizeof *place);
    place->gate = (unsigned char)gate;
    if (gate != MPMX_GATE_OFF && set_protocol(place->protocol, sizeof place->protocol, protocol ? protocol : "http")
        && set_address(place, sa))
        place->family = sa->sa_family;
}

int mpmx_place_equal(const mpmx_place *a, const mpmx_place *b)
{
    return a->family && !memcmp(a, b, sizeof *a);
}

int mpmx_place_has(const mpmx_place *place, const struct sockaddr *local)
{
    static const unsigned char any[sizeof place->addr];
    mpmx_place its;

    memset(&its, 0, sizeof its);
    if (!place->family || local->sa_family != place->family || !set_address(&its, local)
        || its.port != place->port)
        return 0;
    return !memcmp(place->addr, any, sizeof any)
        || (!memcmp(place->addr, its.addr, sizeof its.addr) && (!place->scope || place->scope == its.scope));
}

/* --- records -------------------------------------------------------------------------------- */

void mpmx_handover_record_init(mpmx_handover_record *record, const mpmx_place *place, int state)
{
    memset(record, 0, sizeof *record);
    record->magic = MPMX_HANDOVER_MAGIC;
    record->size = sizeof *record;
    record->place = *place;
    record->state = state;
}

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

const char *mpmx_handover_record_check(mpmx_handover_record *record, size_t len, int64_t now,
                                       int64_t head_timeout_ms)
{
    int asleep;

    if (len != sizeof *record || record->magic != MPMX_HANDOVER_MAGIC || record->size != sizeof *record)
        return "it is not of this version";
    if (record->state != MPMX_TRAVELS_NEW && record->state != MPMX_TRAVELS_ASLEEP)
        return "its state is unknown";
    if (record->place.protocol[sizeof record->place.protocol - 1] || !record->place.family)
        return "its listener has no name";
    asleep = record->state == MPMX_TRAVELS_ASLEEP;
    if (asleep && record->place.gate != MPMX_GATE_HEADS)
        return "nobody sleeps there";
    /* Whoever sleeps has had a request, and what is new has not. */
    record->keepalives = asleep ? (int32_t)within(record->keepalives, 1, INT_MAX) : 0;
    record->keepalive_ms = asleep ? (int32_t)within(record->keepalive_ms, 0, INT_MAX) : 0;
    record->timeout_ms = asleep ? (int32_t)within(record->timeout_ms, 0, INT_MAX) : 0;
    /* Not 0, which says that a head has begun. */
    record->idle_since = within(record->idle_since, now > INT_MAX ? now - INT_MAX : 1, now > 1 ? now : 1);
    record->head_due = asleep ? 0 : within(record->head_due, now, now + head_timeout_ms);
    return NULL;
}
