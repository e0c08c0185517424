/*
 * handover_record_test.c - promise: what a child is told about a connection that travels says what
 * the sender meant, and nothing that a hostile sender can say gives a connection more time than
 * the receiver would, a state that does not exist, or a listener that is another one.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "accept_filter.h"
#include "handover_record.h"
#include "tap.h"

#define NOW  INT64_C(5000000000)
#define HEAD INT64_C(20000)

/* Good until the call after the next: two are compared at most. */
static const struct sockaddr *in4(const char *addr, int port)
{
    static struct sockaddr_in two[2];
    static int n;
    struct sockaddr_in *in = &two[n++ % 2];

    memset(in, 0, sizeof *in);
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, addr, &in->sin_addr);
    return (const struct sockaddr *)in;
}

static const struct sockaddr *in6(const char *addr, int port, unsigned scope)
{
    static struct sockaddr_in6 two[2];
    static int n;
    struct sockaddr_in6 *in = &two[n++ % 2];

    memset(in, 0, sizeof *in);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons((uint16_t)port);
    in->sin6_scope_id = scope;
    inet_pton(AF_INET6, addr, &in->sin6_addr);
    return (const struct sockaddr *)in;
}

static mpmx_place place(const struct sockaddr *sa, int gate, const char *protocol)
{
    mpmx_place p;

    memset(&p, 0x55, sizeof p);          /* what was there before must not show */
    mpmx_place_set(&p, sa, gate, protocol);
    return p;
}

static int same(mpmx_place a, mpmx_place b)
{
    return mpmx_place_equal(&a, &b);
}

static int has(mpmx_place p, const struct sockaddr *local)
{
    return mpmx_place_has(&p, local);
}

static void test_places(void)
{
    mpmx_place web = place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, NULL);
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    ok(same(web, place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "HTTP")), "no protocol is http, in any case");
    ok(!same(web, place(in4("0.0.0.0", 81), MPMX_GATE_HEADS, NULL)), "another port");
    ok(!same(web, place(in4("127.0.0.1", 80), MPMX_GATE_HEADS, NULL)), "another address");
    ok(!same(web, place(in6("::", 80, 0), MPMX_GATE_HEADS, NULL)), "another family");
    ok(!same(web, place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "https")), "another protocol");
    ok(!same(web, place(in4("0.0.0.0", 80), MPMX_GATE_RECORDS, NULL)), "another gate");
    ok(!same(place(in6("fe80::1", 80, 1), MPMX_GATE_HEADS, NULL), place(in6("fe80::1", 80, 2), MPMX_GATE_HEADS, NULL)),
       "another link");
    ok(!same(place(in4("0.0.0.0", 80), MPMX_GATE_OFF, NULL), place(in4("0.0.0.0", 80), MPMX_GATE_OFF, NULL)),
       "without a gate nobody travels");
    ok(!same(place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "a-very-long-protocol"),
             place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "a-very-long-protocol")), "nor with a name too long to compare");
    ok(same(place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "14-characters!"),
            place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "14-CHARACTERS!")), "a name that just fits");
    ok(!place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "15-characters!!").family, "and one that just does not");
    ok(!place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, "").family, "nor without a name");
    ok(!place((struct sockaddr *)&un, MPMX_GATE_HEADS, NULL).family, "nor from a socket that is not TCP's");

    ok(has(web, in4("10.1.2.3", 80)), "any address has all");
    ok(!has(web, in4("10.1.2.3", 81)), "but of its port");
    ok(!has(web, in6("::1", 80, 0)), "and of its family");
    ok(has(place(in4("127.0.0.1", 80), MPMX_GATE_HEADS, NULL), in4("127.0.0.1", 80)), "one address has itself");
    ok(!has(place(in4("127.0.0.1", 80), MPMX_GATE_HEADS, NULL), in4("127.0.0.2", 80)), "and no other");
    ok(has(place(in6("::", 80, 0), MPMX_GATE_HEADS, NULL), in6("::ffff:10.1.2.3", 80, 0)), "IPv4 that came by IPv6");
    ok(has(place(in6("fe80::1", 80, 2), MPMX_GATE_HEADS, NULL), in6("fe80::1", 80, 2)), "an address of a link");
    ok(!has(place(in6("fe80::1", 80, 2), MPMX_GATE_HEADS, NULL), in6("fe80::1", 80, 3)), "not of another link");
    ok(!has(place(in4("0.0.0.0", 80), MPMX_GATE_OFF, NULL), in4("10.1.2.3", 80)), "what nobody travels from has nobody");
    ok(!has(web, (struct sockaddr *)&un), "a socket that is not TCP's");
}

static mpmx_handover_record record(int state)
{
    mpmx_place web = place(in4("0.0.0.0", 80), MPMX_GATE_HEADS, NULL);
    mpmx_handover_record r;

    memset(&r, 0x55, sizeof r);
    mpmx_handover_record_init(&r, &web, state);
    r.idle_since = NOW - 3000;
    r.head_due = NOW + 7000;
    r.keepalives = 12;
    r.keepalive_ms = 15000;
    r.timeout_ms = 60000;
    return r;
}

static const char *check(mpmx_handover_record *r)
{
    return mpmx_handover_record_check(r, sizeof *r, NOW, HEAD);
}

static void test_good(void)
{
    mpmx_handover_record r = record(MPMX_TRAVELS_ASLEEP), before = r;

    before.head_due = 0;                 /* of no meaning there */
    ok(!check(&r) && !memcmp(&r, &before, sizeof r), "a sleeper arrives as it was");
    r = record(MPMX_TRAVELS_NEW);
    ok(!check(&r), "a new one arrives");
    is_num((long)(r.head_due - NOW), 7000, "with what is left of its time");
    is_num((long)(NOW - r.idle_since), 3000, "and its age");
    ok(!r.keepalives && !r.keepalive_ms && !r.timeout_ms, "and no request behind it");
    r = record(MPMX_TRAVELS_NEW);
    r.place.gate = MPMX_GATE_RECORDS;
    ok(!check(&r), "a new one may be TLS");
}

static void test_refused(void)
{
    mpmx_handover_record r = record(MPMX_TRAVELS_ASLEEP);
    size_t len;
    int state, refused = 0, states = 0;

    for (len = 0; len < sizeof r; len++) {
        r = record(MPMX_TRAVELS_ASLEEP);
        refused += mpmx_handover_record_check(&r, len, NOW, HEAD) != NULL;
    }
    is_num(refused, (long)sizeof r, "one that is too short, at any length");
    r = record(MPMX_TRAVELS_ASLEEP);
    ok(mpmx_handover_record_check(&r, sizeof r + 1, NOW, HEAD) != NULL, "one that is too long");
    r.magic++;
    ok(check(&r) != NULL, "another version");
    r = record(MPMX_TRAVELS_ASLEEP);
    r.size--;
    ok(check(&r) != NULL, "another size");
    for (state = -300; state <= 300; state++) {
        r = record(state);
        states += check(&r) == NULL;
    }
    is_num(states, 2, "there are two states");
    r = record(INT_MIN);
    ok(check(&r) != NULL, "and none far away");
    r = record(MPMX_TRAVELS_ASLEEP);
    memset(r.place.protocol, 'h', sizeof r.place.protocol);
    ok(check(&r) != NULL, "a protocol without an end");
    r = record(MPMX_TRAVELS_ASLEEP);
    r.place.family = 0;
    ok(check(&r) != NULL, "no listener");
    r = record(MPMX_TRAVELS_ASLEEP);
    r.place.gate = MPMX_GATE_RECORDS;
    ok(check(&r) != NULL, "a sleeper inside TLS");
}

static void test_limits(void)
{
    static const int64_t odd[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1, NOW - 1, NOW, NOW + 1, INT64_MAX - 1, INT64_MAX };
    mpmx_handover_record r;
    unsigned i;
    int good = 0, n = (int)(sizeof odd / sizeof *odd);

    for (i = 0; i < sizeof odd / sizeof *odd; i++) {
        r = record(MPMX_TRAVELS_ASLEEP);
        r.idle_since = odd[i];
        good += !check(&r) && r.idle_since > 0 && r.idle_since <= NOW;
        r = record(MPMX_TRAVELS_NEW);
        r.head_due = r.idle_since = odd[i];
        good += !check(&r) && r.head_due >= NOW && r.head_due <= NOW + HEAD && r.idle_since > 0;
    }
    is_num(good, 2 * n, "times are in the past, or not further ahead than one's own");
    r = record(MPMX_TRAVELS_ASLEEP);
    r.keepalives = r.keepalive_ms = r.timeout_ms = INT_MIN;
    ok(!check(&r) && r.keepalives == 1 && r.keepalive_ms == 0 && r.timeout_ms == 0, "the least numbers");
    r = record(MPMX_TRAVELS_ASLEEP);
    r.keepalives = r.keepalive_ms = r.timeout_ms = INT_MAX;
    r.idle_since = INT64_MIN;
    ok(!check(&r) && r.idle_since + r.keepalive_ms >= 0 && NOW - r.idle_since <= INT_MAX,
       "the largest add up to nothing odd");
    r = record(MPMX_TRAVELS_ASLEEP);
    r.idle_since = INT64_MAX;
    ok(!mpmx_handover_record_check(&r, sizeof r, 0, HEAD) && r.idle_since == 1, "just after the start of all clocks");
}

/* Any bytes: it is refused, or within limits. */
static void test_noise(void)
{
    mpmx_handover_record r;
    int i, accepted = 0, bad = 0;

    srand(1);
    for (i = 0; i < 200000; i++) {
        unsigned char *bytes = (unsigned char *)&r;
        unsigned k, changes = (unsigned)rand() % 12;

        r = record(rand() % 2 ? MPMX_TRAVELS_ASLEEP : MPMX_TRAVELS_NEW);
        for (k = 0; k < changes; k++)
            bytes[8 + (unsigned)rand() % (sizeof r - 8)] = (unsigned char)rand();
        if (check(&r))
            continue;
        accepted++;
        bad += r.idle_since <= 0 || r.idle_since > NOW || r.keepalives < 0 || r.keepalive_ms < 0 || r.timeout_ms < 0
            || (r.state == MPMX_TRAVELS_NEW && (r.head_due < NOW || r.head_due > NOW + HEAD))
            || (r.state == MPMX_TRAVELS_ASLEEP && (r.head_due || !r.keepalives))
            || !memchr(r.place.protocol, 0, sizeof r.place.protocol);
    }
    ok(accepted > 1000, "of many damaged records some can be used");
    is_num(bad, 0, "and all of those are within limits");
}

int main(void)
{
    test_places();
    test_good();
    test_refused();
    test_limits();
    test_noise();
    return tap_done();
}
