/* What goes with a connection that travels to another process, and whether it can be believed.
 *
 * Pure: no system calls, no state.  Who receives a record runs with the same rights as who has
 * sent it, but that one may have been taken over by an attacker: nothing in it is used before
 * it was checked, and no number without a limit.
 */
#ifndef MPMX_HANDOVER_RECORD_H
#define MPMX_HANDOVER_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where a socket listens, and how what comes in there is treated: the name by which two
 * generations mean the same listener. Compared as bytes, so all of them are set. */
typedef struct mpmx_place {
    uint16_t family;             /* AF_INET or AF_INET6; 0: nobody travels from or to it */
    uint16_t port;               /* network byte order, as the address                */
    uint32_t scope;              /* of a link-local address                           */
    unsigned char addr[16];      /* all zero: any                                     */
    unsigned char gate;          /* mpmx_gate_mode                                    */
    char protocol[15];           /* lower case                                        */
} mpmx_place;

/* One datagram; beside it goes the descriptor. */
typedef struct mpmx_handover_record {
    uint32_t magic;              /* changes with the layout                           */
    uint32_t size;
    mpmx_place place;            /* of its listener                                   */
    int64_t idle_since;          /* coarse ms: one clock for all processes            */
    int64_t head_due;            /* NEW: end of RequestHeadTimeout; coarse ms         */
    int32_t state;               /* MPMX_TRAVELS_*                                    */
    int32_t keepalives;          /* requests it has had                               */
    int32_t keepalive_ms;        /* KeepAliveTimeout and Timeout of the virtual host  */
    int32_t timeout_ms;          /*     that its last request was for                 */
} mpmx_handover_record;

#define MPMX_TRAVELS_NEW    1    /* nothing has come yet                              */
#define MPMX_TRAVELS_ASLEEP 2

#define MPMX_HANDOVER_MAGIC 0x6d706801u

/* Describes a listener; family 0 if its connections cannot travel: another address family, no
 * gate, or a protocol with a name too long to be compared. `protocol` NULL: http. */
void mpmx_place_set(mpmx_place *place, const struct sockaddr *sa, int gate, const char *protocol);

/* Do both mean the same listener? */
int mpmx_place_equal(const mpmx_place *a, const mpmx_place *b);

/* Can a connection with this local address have come in there? */
int mpmx_place_has(const mpmx_place *place, const struct sockaddr *local);

/* Fills in what every record has. */
void mpmx_handover_record_init(mpmx_handover_record *record, const mpmx_place *place, int state);

/* Looks at `len` bytes that have been received, and puts numbers out of range right: a time can
 * only become shorter than what this process would have given itself. `now`: coarse ms;
 * `head_timeout_ms`: this process's. NULL if the record can be used, else why not. */
const char *mpmx_handover_record_check(mpmx_handover_record *record, size_t len, int64_t now,
                                       int64_t head_timeout_ms);

#endif
