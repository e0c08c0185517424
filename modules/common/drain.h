/* Who holds a child that only finishes its work: said in the error log, from time to time. */
#ifndef MPMX_DRAIN_H
#define MPMX_DRAIN_H

#include <stdint.h>

struct mpmx_child;

typedef struct mpmx_drain {
    int64_t since;               /* coarse ms; when it began, or 0                    */
    int64_t next;                /* coarse ms; of the next report                     */
    int64_t gap;                 /* ms; between that and the one after                */
} mpmx_drain;

/* Says who is still there, when it is time to. Lowers *until to when it is next. Housekeeper, in
 * every phase. */
void mpmx_drain_report(struct mpmx_child *child, int64_t now, int64_t *until);

/* A forced end comes after the child has drained: says whom that cuts off, before it does. Of a
 * child that has not drained, nothing. Housekeeper. */
void mpmx_drain_cut(struct mpmx_child *child);

#endif
